// The consumer group of a job, which decides nothing: its offsets are written after each commit so
// that lag tools see the job. They carry "LINEAGE SEQ", which tells ours from a stranger's at the
// next start (docs/exactly-once.md 4.3, rows D and P). One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connectors/kafka/admin.h"
#include "connectors/kafka/settings.h"
#include "engine/checkpoint/commit_protocol.h"

namespace tidemill::kafka {

class GroupOffsets {
 public:
  // `sources`: the job's Kafka sources by operator name, with the cluster of each.
  GroupOffsets(const std::string& group, const std::map<std::string, ClientSettings>& sources);
  ~GroupOffsets();
  GroupOffsets(const GroupOffsets&) = delete;
  GroupOffsets& operator=(const GroupOffsets&) = delete;

  // Throws Error(kRefused) if offsets of the record's own lineage lie ahead of it: then the record
  // is not the last one. Warns of anybody else in the group, also without a record. A coordinator
  // that does not answer is not waited for long.
  void check(const std::optional<CommitRecord>& record);

  // After the commit; returns at once.
  void publish(const CommitRecord& record);

 private:
  using Offsets = std::map<TopicPartition, std::int64_t>;
  struct Cluster {
    std::unique_ptr<Admin> admin;
    std::vector<std::string> sources;
  };

  void check_state(Cluster& cluster);
  void check_offsets(Cluster& cluster, const CommitRecord& record);
  [[nodiscard]] static Offsets offsets_of(const Cluster& cluster, const CommitRecord& record);

  const std::string group_;
  std::map<std::string, Cluster> clusters_;  // by address
};

}  // namespace tidemill::kafka
