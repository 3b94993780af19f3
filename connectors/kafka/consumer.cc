#include "connectors/kafka/consumer.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <simdjson.h>
#include <utility>

#include "connectors/kafka/librdkafka_internal.h"
#include "engine/base/error.h"
#include "engine/base/log.h"

namespace tidemill::kafka {
namespace {

constexpr Duration kAsk = 5s;

}  // namespace

// What the statistics say of one partition.
struct PartitionEnds {
  std::int64_t last_stable = -1;
  std::int64_t high_watermark = -1;
  bool is_reachable = true;
};

class Consumer::Client final : public ClientEvents {
 public:
  Client(const SourceSettings& settings, std::size_t num_partitions) {
    ConfPtr conf = make_conf(consumer_properties(settings, num_partitions), *this);
    rd_kafka_conf_set_stats_cb(conf.get(), on_statistics);
    handle = make_handle(RD_KAFKA_CONSUMER, std::move(conf));
  }

  rd_kafka_topic_t* topic(const std::string& name) {
    TopicPtr& topic = topics_[name];
    if (!topic) topic.reset(rd_kafka_topic_new(handle.get(), name.c_str(), nullptr));
    if (!topic) {
      throw Error(ErrorCode::kConfig, "a Kafka topic's name is refused: " + name + ": " +
                                          describe(rd_kafka_last_error()));
    }
    return topic.get();
  }

  // The last statistics not yet taken; filled while callbacks are served.
  std::map<TopicPartition, PartitionEnds> ends;

 private:
  static int on_statistics(rd_kafka_t*, char* json, std::size_t size, void* opaque) {
    auto& client = *static_cast<Client*>(static_cast<ClientEvents*>(opaque));
    try {
      client.read_statistics({json, size});
    } catch (const simdjson::simdjson_error&) {
      // Another librdkafka may leave something out: the lag is unknown then.
    }
    return 0;  // librdkafka frees the text
  }

  void read_statistics(std::string_view json) {
    simdjson::dom::element root = parser_.parse(json.data(), json.size());
    std::map<std::int64_t, bool> is_up;
    for (const auto broker : simdjson::dom::object(root["brokers"])) {
      const std::string_view state = broker.value["state"];
      is_up[broker.value["nodeid"]] = state == "UP" || state == "UPDATE";
    }
    for (const auto topic : simdjson::dom::object(root["topics"])) {
      for (const auto partition : simdjson::dom::object(topic.value["partitions"])) {
        const std::int64_t id = partition.value["partition"];
        const auto leader = is_up.find(partition.value["leader"]);
        ends[{std::string(topic.key), static_cast<std::int32_t>(id)}] = {
            .last_stable = partition.value["ls_offset"],
            .high_watermark = partition.value["hi_offset"],
            .is_reachable = leader != is_up.end() && leader->second};
      }
    }
  }

  simdjson::dom::parser parser_;

 public:
  HandlePtr handle;  // destroyed after what belongs to it

 private:
  std::map<std::string, TopicPtr> topics_;
};

// One partition's queue. The flag is set by librdkafka's threads when the queue stops being empty,
// so that quiet partitions cost no call.
struct Consumer::Feed {
  Feed() = default;
  ~Feed() {
    for (rd_kafka_message_t* message : kept_back) rd_kafka_message_destroy(message);
  }
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  rd_kafka_topic_t* topic = nullptr;
  QueuePtr queue;
  std::atomic<bool> has_news{true};
  bool is_started = false;
  std::vector<rd_kafka_message_t*> kept_back;  // from the queue, at or behind the hold
};

namespace {

// Owns the messages that a batch's records view.
struct HeldMessages {
  explicit HeldMessages(std::shared_ptr<void> owner) : client(std::move(owner)) {}
  ~HeldMessages() {
    for (rd_kafka_message_t* message : messages) rd_kafka_message_destroy(message);
  }
  HeldMessages(const HeldMessages&) = delete;
  HeldMessages& operator=(const HeldMessages&) = delete;

  const std::shared_ptr<void> client;
  std::vector<rd_kafka_message_t*> messages;
  std::deque<RecordHeaders> headers;
};

const RecordHeaders* headers_of(const rd_kafka_message_t& message, HeldMessages& held) {
  rd_kafka_headers_t* found = nullptr;
  if (rd_kafka_message_headers(&message, &found) != RD_KAFKA_RESP_ERR_NO_ERROR) return nullptr;
  RecordHeaders& headers = held.headers.emplace_back();
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0;
       rd_kafka_header_get_all(found, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    headers.emplace_back(name, std::string(static_cast<const char*>(value), size));
  }
  return &headers;
}

std::string_view view(const void* data, std::size_t size) {
  return data == nullptr ? std::string_view()
                         : std::string_view(static_cast<const char*>(data), size);
}

// A record at or behind the hold; the end of the log behind it, which would move the position.
bool is_held_back(const rd_kafka_message_t& message, const Consumer::Position& position) {
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) return message.offset > position.hold;
  return message.err == RD_KAFKA_RESP_ERR_NO_ERROR && message.offset >= position.hold;
}

void on_queue_not_empty(rd_kafka_t*, void* has_news) {
  static_cast<std::atomic<bool>*>(has_news)->store(true, std::memory_order_release);
}

}  // namespace

Consumer::Consumer(const SourceSettings& settings, std::size_t num_partitions,
                   MetricRegistry& metrics)
    : settings_(settings),
      num_stale_(metrics.counter("tidemill_kafka_stale_records_total", {},
                                 "Records fetched again from before the position, dropped")),
      num_gaps_(metrics.counter("tidemill_kafka_offset_gaps_total", {},
                                "Offsets skipped: markers, aborted and compacted records")),
      client_(std::make_shared<Client>(settings, num_partitions)) {}

Consumer::~Consumer() {
  for (std::size_t i = 0; i < feeds_.size(); ++i) finish(i);
}

void Consumer::add(const TopicPartition& partition, std::int64_t start, std::int64_t stop) {
  positions_.push_back({.partition = partition, .next = start, .stop = stop});
  auto& feed = feeds_.emplace_back(std::make_unique<Feed>());
  if (positions_.back().is_finished()) return;
  feed->topic = client_->topic(partition.first);
  feed->queue.reset(rd_kafka_queue_new(client_->handle.get()));
  rd_kafka_queue_cb_event_enable(feed->queue.get(), on_queue_not_empty, &feed->has_news);
  if (rd_kafka_consume_start_queue(feed->topic, partition.second, start, feed->queue.get()) != 0) {
    throw Error(ErrorCode::kIo, "a Kafka partition cannot be read: " + to_string(partition) + ": " +
                                    describe(rd_kafka_last_error()));
  }
  feed->is_started = true;
}

std::size_t Consumer::poll(std::size_t index, std::size_t max_records,
                           SourceBatch<RawRecord>& out) {
  Position& position = positions_[index];
  Feed& feed = *feeds_[index];
  if (!feed.is_started || position.next >= position.hold) return 0;
  if (feed.kept_back.empty() && !feed.has_news.load(std::memory_order_acquire)) return 0;
  auto held = std::make_shared<HeldMessages>(client_);
  auto& messages = held->messages;
  messages.swap(feed.kept_back);
  if (messages.empty()) {
    messages.resize(max_records);
    feed.has_news.store(false, std::memory_order_relaxed);
    const ssize_t count =
        rd_kafka_consume_batch_queue(feed.queue.get(), 0, messages.data(), messages.size());
    messages.resize(static_cast<std::size_t>(std::max<ssize_t>(0, count)));
    // More may be waiting although the queue never was empty.
    if (!messages.empty()) feed.has_news.store(true, std::memory_order_relaxed);
  }

  const std::size_t before = out.size();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const rd_kafka_message_t* message = messages[i];
    if (is_held_back(*message, position)) {
      // Nothing lies between the last record and this one.
      position.next = std::max(position.next, position.hold);
      feed.kept_back.assign(messages.begin() + static_cast<std::ptrdiff_t>(i), messages.end());
      messages.resize(i);
      break;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      take_event(index, message);
      continue;
    }
    if (message->offset < position.next) {
      num_stale_.add();
      continue;
    }
    if (message->offset > position.next) {
      num_gaps_.add(static_cast<std::uint64_t>(message->offset - position.next));
      if (settings_.expect_contiguous) {
        throw Error(ErrorCode::kBadData,
                    "offsets are missing in a partition said to be contiguous: " +
                        to_string(position.partition) + ", " + std::to_string(position.next) +
                        " to " + std::to_string(message->offset - 1));
      }
    }
    if (message->offset >= position.stop) {
      position.next = position.stop;
      break;
    }
    position.next = message->offset + 1;
    position.is_at_end = false;
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    const std::int64_t timestamp = rd_kafka_message_timestamp(message, &type);
    position.last_timestamp_ms = timestamp;
    out.append({.value = view(message->payload, message->len),
                .key = view(message->key, message->key_len),
                .has_key = message->key != nullptr,
                .has_value = message->payload != nullptr,
                .headers = settings_.with_headers ? headers_of(*message, *held) : nullptr},
               {.split = static_cast<std::uint32_t>(index),
                .partition = message->partition,
                .offset = message->offset,
                .timestamp = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? EventTime::min()
                                                                      : EventTime{timestamp}});
  }
  if (position.is_finished()) finish(index);
  if (out.size() > before) out.keep_alive.push_back(std::move(held));
  return out.size() - before;
}

void Consumer::take_event(std::size_t index, const void* event) {
  const auto& message = *static_cast<const rd_kafka_message_t*>(event);
  Position& position = positions_[index];
  switch (message.err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      // The end lies behind markers and aborted records that are never delivered.
      position.next = std::max(position.next, std::min(message.offset, position.stop));
      position.is_at_end = true;
      return;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: refuse_range(index);
    default: break;
  }
  const std::string what = to_string(position.partition) + ": " + describe(message.err);
  const ErrorCode code = error_code_of(message.err);
  if (code == ErrorCode::kRefused) {
    check_exists(index);
    // Gone and back: whether it is the same log is found out by the checks of a start (row G). Of a
    // partition that has just been added brokers learn one after the other.
    if (message.err != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) {
      throw Error(ErrorCode::kIo,
                  "a Kafka topic was missing for a while and may have been made anew: " + what);
    }
  } else if (code == ErrorCode::kIo) {
    // librdkafka goes on by itself.
    log(LogLevel::kWarn, "kafka: reading is disturbed: " + what + client_->last_error_text());
  } else {
    throw Error(code, "a Kafka partition may not be read: " + what +
                          "; allow it, then start the job again");
  }
}

// Rows F and T: what the position asks for is not in the log.
void Consumer::refuse_range(std::size_t index) {
  const Position& position = positions_[index];
  std::int64_t low = 0;
  std::int64_t high = 0;
  const rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(
      client_->handle.get(), position.partition.first.c_str(), position.partition.second, &low,
      &high, static_cast<int>(kAsk.count()));
  const std::string name = to_string(position.partition);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    throw Error(ErrorCode::kIo, "a Kafka partition cannot be read and does not say why: " + name +
                                    ": " + describe(error));
  }
  if (position.next < low) {
    throw Error(ErrorCode::kRefused,
                "partition " + name + " lost offsets " + std::to_string(position.next) + ".." +
                    std::to_string(low - 1) +
                    " before they were read (retention, or somebody deleted records); to go on "
                    "without them: --accept-loss " +
                    name);
  }
  throw Error(
      ErrorCode::kRefused,
      "partition " + name + " ends at " + std::to_string(high) + ", before the position " +
          std::to_string(position.next) +
          ": the log was truncated or the topic made anew; check the topic, then start from "
          "a checkpoint that fits with --restore ID --accept-duplicates");
}

// Row I. librdkafka may say so also while the cluster is changing: the brokers have the last word.
void Consumer::check_exists(std::size_t index) {
  const Position& position = positions_[index];
  const rd_kafka_metadata_t* metadata = nullptr;
  const rd_kafka_resp_err_t error = rd_kafka_metadata(
      client_->handle.get(), 0, feeds_[index]->topic, &metadata, static_cast<int>(kAsk.count()));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return;  // said again if it stays so
  const rd_kafka_metadata_topic_t& topic = metadata->topics[0];
  const bool is_gone =
      error_code_of(topic.err) == ErrorCode::kRefused ||
      (topic.err == RD_KAFKA_RESP_ERR_NO_ERROR && position.partition.second >= topic.partition_cnt);
  rd_kafka_metadata_destroy(metadata);
  if (!is_gone) return;
  throw Error(ErrorCode::kRefused, "partition " + to_string(position.partition) +
                                       " does not exist any more: the topic was deleted; the "
                                       "position was " +
                                       std::to_string(position.next) +
                                       "; bring it back, or start anew with --restore none "
                                       "--accept-duplicates");
}

void Consumer::finish(std::size_t index) {
  Feed& feed = *feeds_[index];
  if (!feed.is_started) return;
  feed.is_started = false;
  rd_kafka_queue_cb_event_enable(feed.queue.get(), nullptr, nullptr);
  rd_kafka_consume_stop(feed.topic, positions_[index].partition.second);
}

void Consumer::serve() {
  rd_kafka_poll(client_->handle.get(), 0);
  // Known at once; that they are back the statistics say.
  if (client_->take_all_down()) {
    for (Position& position : positions_) position.is_reachable = false;
  }
  if (client_->ends.empty()) return;
  for (Position& position : positions_) {
    const auto found = client_->ends.find(position.partition);
    if (found == client_->ends.end()) continue;
    position.last_stable = found->second.last_stable;
    position.high_watermark = found->second.high_watermark;
    position.is_reachable = found->second.is_reachable;
  }
  client_->ends.clear();
}

}  // namespace tidemill::kafka
