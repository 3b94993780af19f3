#include "connectors/kafka/admin_client_internal.h"

#include <array>

namespace tidemill::kafka {
namespace {

// How long a refused login is tried again.
constexpr Duration kLogin = 3s;
constexpr Duration kPause = 50ms;
constexpr std::size_t kBatch = 500;

Error no_offsets(rd_kafka_resp_err_t error, const TopicPartition& partition) {
  return {error_code_of(error), "a Kafka partition cannot be asked for its offsets: " +
                                    to_string(partition) + ": " + describe(error)};
}

// What the client knows of a topic is asked for anew; by itself it takes a known topic's partitions
// for all there are.
void ask_about(rd_kafka_t* client, const std::string& name, int timeout_ms) {
  const TopicPtr topic(rd_kafka_topic_new(client, name.c_str(), nullptr));
  if (!topic) return;
  const rd_kafka_metadata_t* metadata = nullptr;
  if (rd_kafka_metadata(client, 0, topic.get(), &metadata, timeout_ms) == 0)
    rd_kafka_metadata_destroy(metadata);
}

}  // namespace

PartitionsPtr list_of(const std::vector<TopicPartition>& partitions) {
  PartitionsPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const auto& [topic, partition] : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition);
  }
  return list;
}

TopicPartition name_of(const rd_kafka_topic_partition_t& element) {
  return {element.topic, element.partition};
}

Admin::Client::Client(const ClientSettings& settings, const std::string& client_id,
                      Duration timeout_after)
    : timeout(timeout_after),
      settings_(settings),
      client_id_(client_id),
      committed_(make_consumer(true)) {}

HandlePtr Admin::Client::make_consumer(bool is_read_committed) {
  return make_handle(RD_KAFKA_CONSUMER,
                     make_conf(lookup_properties(settings_, client_id_, is_read_committed), *this));
}

rd_kafka_t* Admin::Client::uncommitted() {
  if (!uncommitted_) uncommitted_ = make_consumer(false);
  return uncommitted_.get();
}

Error Admin::Client::failed(const std::string& what, rd_kafka_resp_err_t error) const {
  return {is_login_refused() ? ErrorCode::kConfig : error_code_of(error),
          "Kafka (" + settings_.brokers + ") did not answer a question: " + what + ": " +
              describe(error) + last_error_text()};
}

void Admin::Client::until_answered(const std::string& what, const Ask& ask) const {
  const Deadline deadline(timeout);
  const Deadline login(kLogin);
  while (true) {
    const rd_kafka_resp_err_t error = ask(deadline.left_ms(kCallSlice));
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    const bool is_hopeless = is_login_refused() && login.is_over();
    if (!may_pass(error) || deadline.is_over() || is_hopeless) throw failed(what, error);
    rd_kafka_poll(handle(), deadline.left_ms(kPause));
  }
}

MetadataPtr Admin::Client::metadata(rd_kafka_topic_t* only) const {
  const rd_kafka_metadata_t* metadata = nullptr;
  until_answered("metadata", [&](int ms) {
    return rd_kafka_metadata(handle(), only == nullptr ? 1 : 0, only, &metadata, ms);
  });
  return MetadataPtr(metadata);
}

EventPtr Admin::Client::request(const std::string& what, rd_kafka_admin_op_t operation,
                                const Start& start) const {
  EventPtr event;
  until_answered(what, [&](int ms) {
    const OptionsPtr options(rd_kafka_AdminOptions_new(handle(), operation));
    std::array<char, 256> text{};
    rd_kafka_AdminOptions_set_request_timeout(options.get(), ms, text.data(), text.size());
    const QueuePtr queue(rd_kafka_queue_new(handle()));
    start(options.get(), queue.get());
    // The request's own timeout ends it; the margin is for its way through librdkafka's threads.
    event.reset(rd_kafka_queue_poll(queue.get(), ms + static_cast<int>(kCallSlice.count())));
    return event ? rd_kafka_event_error(event.get()) : RD_KAFKA_RESP_ERR__TIMED_OUT;
  });
  return event;
}

std::map<TopicPartition, std::int64_t> Admin::Client::list_offsets(
    rd_kafka_t* asked, const std::vector<TopicPartition>& partitions,
    std::int64_t timestamp) const {
  std::map<TopicPartition, std::int64_t> offsets;
  if (partitions.empty()) return offsets;
  // Since a partition was unknown for the first time; and the last one that was, if nothing else is
  // wrong.
  std::optional<Deadline> appears;
  std::optional<Error> unknown;
  const auto again = [&](rd_kafka_resp_err_t error, const TopicPartition& partition, int ms) {
    unknown.reset();
    if (may_pass(error)) return error;
    unknown = no_offsets(error, partition);
    if (!appears) appears.emplace(kTopicAppears);
    if (!is_unknown(error) || appears->is_over()) throw Error(*unknown);
    ask_about(asked, partition.first, ms);
    return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
  };
  try {
    until_answered("offsets", [&](int ms) {
      const PartitionsPtr list = list_of(partitions);
      for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = timestamp;
      const rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(asked, list.get(), ms);
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return again(error, partitions.front(), ms);
      for (int i = 0; i < list->cnt; ++i) {
        const rd_kafka_topic_partition_t& element = list->elems[i];
        if (element.err != RD_KAFKA_RESP_ERR_NO_ERROR)
          return again(element.err, name_of(element), ms);
        offsets[name_of(element)] = element.offset;
      }
      return RD_KAFKA_RESP_ERR_NO_ERROR;
    });
  } catch (const Error&) {
    if (unknown) throw Error(*unknown);  // also if time was over before it could appear
    throw;
  }
  return offsets;
}

namespace {

// Partitions being read into one queue; those that are still open at the end are stopped.
class Reading {
 public:
  Reading(rd_kafka_t* handle, rd_kafka_queue_t* queue) : handle_(handle), queue_(queue) {}
  ~Reading() {
    while (!open_.empty()) stop(open_.begin()->first);
  }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

  bool start(const TopicPartition& partition, std::int64_t from) {
    TopicPtr topic(rd_kafka_topic_new(handle_, partition.first.c_str(), nullptr));
    if (!topic || rd_kafka_consume_start_queue(topic.get(), partition.second, from, queue_) != 0) {
      return false;
    }
    open_[partition] = std::move(topic);
    return true;
  }
  void stop(const TopicPartition& partition) {
    const auto found = open_.find(partition);
    rd_kafka_consume_stop(found->second.get(), partition.second);
    open_.erase(found);
  }
  [[nodiscard]] bool is_open(const TopicPartition& partition) const {
    return open_.count(partition) > 0;
  }
  [[nodiscard]] bool is_over() const { return open_.empty(); }

 private:
  rd_kafka_t* const handle_;
  rd_kafka_queue_t* const queue_;
  std::map<TopicPartition, TopicPtr> open_;
};

bool is_permanent(rd_kafka_resp_err_t error) {
  return !may_pass(error) || error == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET;
}

}  // namespace

void Admin::Client::read(const std::map<TopicPartition, std::int64_t>& from,
                         const Take& take) const {
  const QueuePtr queue(rd_kafka_queue_new(handle()));
  Reading reading(handle(), queue.get());
  for (const auto& [partition, offset] : from) {
    if (!reading.start(partition, offset)) {
      throw failed("reading " + to_string(partition), rd_kafka_last_error());
    }
  }
  Deadline deadline(timeout);  // without any record
  std::optional<Deadline> appears;
  std::map<TopicPartition, rd_kafka_resp_err_t> unknown;
  std::array<rd_kafka_message_t*, kBatch> batch{};
  while (!reading.is_over()) {
    const ssize_t count = rd_kafka_consume_batch_queue(queue.get(), deadline.left_ms(100ms),
                                                       batch.data(), batch.size());
    rd_kafka_poll(handle(), 0);
    bool has_news = false;
    std::optional<Error> error;
    for (ssize_t i = 0; i < count; ++i) {
      const MessagePtr message(batch[static_cast<std::size_t>(i)]);
      const TopicPartition partition(rd_kafka_topic_name(message->rkt), message->partition);
      if (error || !reading.is_open(partition)) continue;  // only to be destroyed
      const bool is_record = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
      if (is_record || message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        has_news = true;
        unknown.erase(partition);
        if (!is_record || !take(partition, *message)) reading.stop(partition);
      } else if (is_unknown(message->err)) {
        unknown[partition] = message->err;
      } else if (is_permanent(message->err)) {
        error = failed("reading " + to_string(partition), message->err);
      }
    }
    if (error) throw Error(*error);
    if (has_news) deadline = Deadline(timeout);
    if (!unknown.empty()) {
      // That is said once; the client asks no more by itself.
      const auto& [partition, why] = *unknown.begin();
      if (!appears) appears.emplace(kTopicAppears);
      if (appears->is_over() || deadline.is_over())
        throw failed("reading " + to_string(partition), why);
      rd_kafka_poll(handle(), deadline.left_ms(kPause));
      ask_about(handle(), partition.first, deadline.left_ms(kCallSlice));
    } else if (deadline.is_over()) {
      throw failed("reading records", RD_KAFKA_RESP_ERR__TIMED_OUT);
    }
  }
}

}  // namespace tidemill::kafka
