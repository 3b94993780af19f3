// The client handles of an Admin and the ways to ask: repeat what may pass, read a few records.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "connectors/kafka/admin.h"
#include "connectors/kafka/librdkafka_internal.h"

namespace tidemill::kafka {

using MetadataPtr = std::unique_ptr<const rd_kafka_metadata_t, Destroy<rd_kafka_metadata_destroy>>;

// A partition that was just made is not yet known everywhere: a broker, or the client by an answer
// that was on its way, may still say that there is none.
inline constexpr Duration kTopicAppears = 10s;

inline bool is_unknown(rd_kafka_resp_err_t error) {
  return error_code_of(error) == ErrorCode::kRefused;
}

// True if asking again may help.
inline bool may_pass(rd_kafka_resp_err_t error) { return error_code_of(error) == ErrorCode::kIo; }

class Admin::Client final : public ClientEvents {
 public:
  // Gives back what has gone wrong; 0 is success.
  using Ask = std::function<rd_kafka_resp_err_t(int ms)>;
  using Start = std::function<void(const rd_kafka_AdminOptions_t*, rd_kafka_queue_t*)>;
  // False: enough of this partition.
  using Take = std::function<bool(const TopicPartition&, const rd_kafka_message_t&)>;

  Client(const ClientSettings& settings, const std::string& client_id, Duration timeout_after);

  [[nodiscard]] rd_kafka_t* handle() const { return committed_.get(); }
  // Sees records of open transactions as well.
  [[nodiscard]] rd_kafka_t* uncommitted();

  [[nodiscard]] Error failed(const std::string& what, rd_kafka_resp_err_t error) const;
  // Repeats `ask` while its error may pass by itself.
  void until_answered(const std::string& what, const Ask& ask) const;
  [[nodiscard]] MetadataPtr metadata(rd_kafka_topic_t* only) const;  // null: of all topics
  // Starts an admin request and returns its result event.
  [[nodiscard]] EventPtr request(const std::string& what, rd_kafka_admin_op_t operation,
                                 const Start& start) const;
  // `timestamp`: milliseconds, or one of librdkafka's names for the ends of the log. A partition
  // that is unknown is asked for until kTopicAppears is over.
  [[nodiscard]] std::map<TopicPartition, std::int64_t> list_offsets(
      rd_kafka_t* asked, const std::vector<TopicPartition>& partitions,
      std::int64_t timestamp) const;
  // Reads committed records of each partition from its offset until `take` has enough of it or its
  // log ends.
  void read(const std::map<TopicPartition, std::int64_t>& from, const Take& take) const;

  // Takes note of a finished AlterConsumerGroupOffsets and starts the one waiting.
  bool alter(int wait_ms);

  const Duration timeout;
  std::optional<std::pair<std::string, std::map<TopicPartition, GroupOffset>>> waiting;

 private:
  [[nodiscard]] HandlePtr make_consumer(bool is_read_committed);

  const ClientSettings settings_;
  const std::string client_id_;
  HandlePtr committed_;
  HandlePtr uncommitted_;
  QueuePtr alter_queue_;
  bool is_altering_ = false;
};

PartitionsPtr list_of(const std::vector<TopicPartition>& partitions);
TopicPartition name_of(const rd_kafka_topic_partition_t& element);

}  // namespace tidemill::kafka
