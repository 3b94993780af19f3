// The topic that decides: per job `JOB.__commits`, one partition per slot, compacted; the last
// record with the slot's key in the slot's partition is the commit record (docs/exactly-once.md
// 6.4). It is written inside the same transaction as the outputs.
#pragma once

#include <optional>
#include <string>

#include "connectors/kafka/admin.h"
#include "engine/checkpoint/commit_protocol.h"

namespace tidemill::kafka {

class ControlTopic {
 public:
  ControlTopic(const std::string& job, std::int32_t slot);

  // Makes the topic if it is missing. Throws Error(kConfig) if one is there that would forget or
  // cannot hold the record.
  void ensure(Admin& admin) const;

  // Requires: the slot's older instances are fenced, so that what is read cannot change. Nothing:
  // no checkpoint was ever committed, or the topic was lost. Throws Error(kRefused) for a record
  // that cannot be read.
  [[nodiscard]] std::optional<CommitRecord> read(Admin& admin) const;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::int32_t partition() const { return slot_; }
  [[nodiscard]] const std::string& key() const { return key_; }

 private:
  const std::string name_;
  const std::int32_t slot_;
  const std::string key_;
};

}  // namespace tidemill::kafka
