// The Kafka sink: rows into the job's one transaction, visible to read_committed readers when the
// checkpoint that covers them is committed (docs/exactly-once.md 6.7). With at-least-once they are
// visible at once and may come twice.
//
// Rows go straight into the producer while the sink's epoch is open. After a barrier, until the
// next transaction is open, they wait in the sink, in order; a full waiting room is back-pressure.
#pragma once

#include "connectors/kafka/settings.h"
#include "engine/operator/sink.h"

namespace tidemill::kafka {

// The subtasks need the transaction that commit_protocol lends. Copyable.
SinkSpec sink(const SinkSettings& settings);

}  // namespace tidemill::kafka
