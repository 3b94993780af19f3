#include "connectors/kafka/control_topic.h"

#include <algorithm>

#include "connectors/kafka/commit_record_json.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/checkpoint/refusal.h"

namespace tidemill::kafka {

ControlTopic::ControlTopic(const std::string& job, std::int32_t slot)
    : name_(job + ".__commits"), slot_(slot), key_(std::to_string(slot)) {}

void ControlTopic::ensure(Admin& admin) const {
  const auto found = admin.topic(name_);
  if (!found) {
    const auto num_brokers = static_cast<std::int32_t>(admin.num_brokers());
    const std::int32_t replication = std::min(kReplicationOfOurs, num_brokers);
    if (replication < kReplicationOfOurs) {
      log(LogLevel::kWarn,
          "the control topic " + name_ + " gets only " + std::to_string(replication) +
              " replica(s), as there are no more brokers: it is as durable as they");
    }
    admin.create_topic({.name = name_,
                        .num_partitions = slot_ + 1,
                        .replication = replication,
                        .config = {{"cleanup.policy", "compact"},
                                   {"segment.ms", "3600000"},
                                   {"min.cleanable.dirty.ratio", "0.1"},
                                   {"min.insync.replicas", replication >= 3 ? "2" : "1"}}});
    return;
  }
  if (found->num_partitions <= slot_) {
    throw Error(ErrorCode::kConfig, "the control topic has too few partitions for this slot: " +
                                        name_ + " has " + std::to_string(found->num_partitions) +
                                        ", slot " + key_ + "; add partitions to it");
  }
  const Properties config = admin.topic_config(name_);
  const auto policy = config.find("cleanup.policy");
  if (policy != config.end() && policy->second != "compact") {
    throw Error(
        ErrorCode::kConfig,
        "the control topic must be compacted only, or the commit record is deleted by age: " +
            name_ + " has cleanup.policy=" + policy->second);
  }
}

std::optional<CommitRecord> ControlTopic::read(Admin& admin) const {
  const auto found = admin.last_record({name_, slot_}, key_);
  if (!found) return std::nullopt;
  try {
    return parse_commit_record(found->value);
  } catch (const Error& e) {
    throw RefusedStart(
        {"commit_record_unreadable", "D", "", {}, true},
        "the commit record cannot be trusted, as something else wrote to the control topic "
        "or it was damaged: " +
            to_string(TopicPartition(name_, slot_)) + ", offset " + std::to_string(found->offset) +
            ": " + e.what() +
            "; check the outputs, then go on with --restore ID --accept-duplicates, which "
            "starts a new lineage");
  }
}

}  // namespace tidemill::kafka
