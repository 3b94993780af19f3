// Questions to a Kafka cluster and the few things changed in one: topics, offsets, configurations,
// groups, single records. Every call blocks, at most for the timeout given at construction, except
// where said. Errors: kIo when no answer came in time, else as error_code_of says.
// One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connectors/kafka/settings.h"

namespace tidemill::kafka {

// Of the topics we make, where there are as many brokers.
inline constexpr std::int32_t kReplicationOfOurs = 3;

struct TopicInfo {
  std::string name;
  std::int32_t num_partitions = 0;
  std::int32_t replication = 0;
};

struct NewTopic {
  std::string name;
  std::int32_t num_partitions = 1;
  std::int32_t replication = 1;
  Properties config = {};
};

// A group's committed offset. The metadata is what the committer wrote beside it.
struct GroupOffset {
  std::int64_t offset = 0;
  std::string metadata;
};

// One record read back from its place.
struct FoundRecord {
  std::int64_t offset = 0;
  std::int64_t timestamp_ms = 0;
  std::string key = {};
  bool has_key = false;
  std::string value = {};
  bool has_value = false;
};

enum class LogPoint {
  kStart,         // the first record that is still there
  kLastStable,    // where a read_committed consumer ends
  kHighWatermark  // where a read_uncommitted one does
};

class Admin {
 public:
  Admin(const ClientSettings& settings, const std::string& client_id, Duration timeout = 30s);
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  // Topics and brokers.
  [[nodiscard]] std::optional<TopicInfo> topic(const std::string& name);  // nothing: does not exist
  [[nodiscard]] std::vector<TopicInfo> topics();                          // all, by name
  [[nodiscard]] std::size_t num_brokers();
  // Returns once the topic can be used; false if it existed before.
  bool create_topic(const NewTopic& topic);
  // Settings in force, by name.
  [[nodiscard]] Properties topic_config(const std::string& topic);
  // Those of them that somebody set for this topic.
  [[nodiscard]] Properties own_topic_config(const std::string& topic);
  [[nodiscard]] Properties broker_config();  // of any one broker

  // Offsets. A partition that does not exist throws Error(kRefused) naming it, after ten seconds in
  // which it may become known, or the timeout if that is less.
  [[nodiscard]] std::map<TopicPartition, std::int64_t> offsets(
      const std::vector<TopicPartition>& partitions, LogPoint point);
  // The first record at or after `time`; the last stable offset where there is none.
  [[nodiscard]] std::map<TopicPartition, std::int64_t> offsets_at(
      const std::vector<TopicPartition>& partitions, EventTime time);

  // The committed records at exactly these offsets; a partition is left out if compaction or
  // retention took its record, or if it is a marker or aborted.
  [[nodiscard]] std::map<TopicPartition, FoundRecord> records_at(
      const std::map<TopicPartition, std::int64_t>& places);
  // The last committed record with this key, up to the end of the log.
  [[nodiscard]] std::optional<FoundRecord> last_record(const TopicPartition& partition,
                                                       std::string_view key);

  // Groups. State as Kafka spells it: "Empty", "Dead", "Stable", …
  [[nodiscard]] std::string group_state(const std::string& group);
  [[nodiscard]] std::map<TopicPartition, GroupOffset> group_offsets(
      const std::string& group, const std::vector<TopicPartition>& partitions);
  // Best effort and asynchronous: returns at once. While one is under way the next waits for the
  // following call, and only the newest is kept. Failures are logged.
  void set_group_offsets(const std::string& group,
                         const std::map<TopicPartition, GroupOffset>& offsets);
  // Waits for what set_group_offsets has begun or kept waiting.
  void finish_group_offsets(Duration patience);

 private:
  class Client;
  enum class Settings { kInForce, kOwn };
  [[nodiscard]] Properties topic_settings(const std::string& topic, Settings which);

  const std::unique_ptr<Client> client_;
};

}  // namespace tidemill::kafka
