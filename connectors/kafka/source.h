// The Kafka source. Positions are the job's own, in its checkpoints and in the commit record: no
// consumer group decides anything (docs/exactly-once.md 3, docs/semantics.md 5).
#pragma once

#include <string>
#include <vector>

#include "connectors/kafka/settings.h"
#include "engine/data/raw_record.h"
#include "engine/operator/source.h"

namespace tidemill::kafka {

// Builds the readers of one source. The readers of an attempt share what they find out about the
// cluster; the first one built asks. Copyable; thread-safe.
ReaderFactory<RawRecord> source(const SourceSettings& settings);
// For SourceSpec::parts.
std::vector<std::string> source_parts();

}  // namespace tidemill::kafka
