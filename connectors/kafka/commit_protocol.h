// Exactly-once over Kafka (docs/exactly-once.md 6): outputs and the commit record in one
// transaction per checkpoint, on a transactional id that fences every older instance of the job's
// slot.
//
// At-least-once does the same without transactions and without fencing: outputs are acknowledged
// before the record is written.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "connectors/kafka/settings.h"
#include "engine/base/metrics.h"
#include "engine/checkpoint/commit_protocol.h"
#include "engine/checkpoint/storage.h"
#include "engine/operator/context.h"

namespace tidemill::kafka {

enum class Guarantee { kExactlyOnce, kAtLeastOnce };

struct CommitSettings {
  ClientSettings client = {};  // the cluster of the outputs; without any, of the inputs
  std::string job = {};        // also the group whose offsets are written
  std::int32_t slot = 0;
  Guarantee guarantee = Guarantee::kExactlyOnce;
  Duration checkpoint_interval = 1s;
  Duration transaction_timeout = 0s;  // 0: follows the interval
  // The job's Kafka sources by operator name: their offsets are written to the group.
  std::map<std::string, ClientSettings> sources = {};
  // --accept-duplicates: an unreadable or outdated record does not stop the first attempt.
  bool accept_duplicates = false;
};

// Makes the protocol of one attempt after the other and lends its transaction to the sinks. What
// the attempts of a process must know of each other is kept here. `metrics` outlives all.
std::function<std::unique_ptr<CommitProtocol>(Resources&, const CheckpointStorage&)>
commit_protocol(const CommitSettings& settings, MetricRegistry& metrics);

}  // namespace tidemill::kafka
