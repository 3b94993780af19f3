// What the main job does from Kafka to Kafka and Redis, written by hand on librdkafka, simdjson and
// hiredis: one thread of its own, no state beyond memory, nothing general. Rows go into a
// transaction that holds the consumer's offsets and is committed once Redis has answered for them.
// The measure for feature_pipeline on Kafka (bench/RESULTS.md).
//
//   hand_kafka_loop BROKERS INPUT OUTPUT REDIS_PORT MODE DISORDER LATENESS EMIT_INTERVAL
//   COMMIT_INTERVAL
//
// The last four in ms. Client settings are those of the job.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bench/main_job/hand_features.h"

namespace tidemill::hand {
namespace {

using std::chrono::steady_clock;

void check(rd_kafka_error_t* error, const char* what) {
  if (error != nullptr) fail(what, rd_kafka_error_string(error));
}
void check(rd_kafka_resp_err_t error, const char* what) {
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail(what, rd_kafka_err2str(error));
}

rd_kafka_t* client(rd_kafka_type_t type, const std::map<std::string, std::string>& settings) {
  char why[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  for (const auto& [key, value] : settings) {
    if (rd_kafka_conf_set(conf, key.c_str(), value.c_str(), why, sizeof why) != RD_KAFKA_CONF_OK)
      fail("a setting is refused", why);
  }
  rd_kafka_t* made = rd_kafka_new(type, conf, why, sizeof why);
  if (made == nullptr) fail("no client", why);
  return made;
}

// Pipelined: `finish` sends what waits and takes all answers, at the latest after so many.
constexpr std::size_t kPipelined = 1000;

class Redis {
 public:
  explicit Redis(int port) : context_(redisConnect("127.0.0.1", port)) {
    if (context_ == nullptr || context_->err != 0) fail("no Redis", std::to_string(port));
  }
  void set(std::string_view user, std::string_view value) {
    if (waiting_ == kPipelined) finish();
    // Largest window and its slice, as the job sets them.
    static constexpr std::string_view kCommand = "SETEX";
    static const std::string ttl =
        std::to_string((kWindows[2].size + kWindows[2].resolution) / 1000);
    key_.resize(kPrefix.size());
    key_ += user;
    const char* arguments[] = {kCommand.data(), key_.data(), ttl.data(), value.data()};
    const std::size_t sizes[] = {kCommand.size(), key_.size(), ttl.size(), value.size()};
    if (redisAppendCommandArgv(context_, 4, arguments, sizes) != REDIS_OK)
      fail("Redis", context_->errstr);
    ++waiting_;
  }
  void finish() {
    for (; waiting_ > 0; --waiting_) {
      void* reply = nullptr;
      if (redisGetReply(context_, &reply) != REDIS_OK) fail("Redis", context_->errstr);
      const auto* told = static_cast<redisReply*>(reply);
      if (told->type == REDIS_REPLY_ERROR) fail("Redis", told->str);
      freeReplyObject(reply);
    }
  }

 private:
  static constexpr std::string_view kPrefix = "features:";
  redisContext* context_;
  std::string key_ = std::string(kPrefix);
  std::size_t waiting_ = 0;
};

class Rows {
 public:
  Rows(rd_kafka_t* producer, const std::string& topic, int redis_port)
      : producer_(producer),
        topic_(rd_kafka_topic_new(producer, topic.c_str(), nullptr)),
        redis_(redis_port) {}

  char* room(std::uint32_t, std::size_t size) {
    if (row_.size() < size) row_.resize(2 * size);
    return row_.data();
  }
  void end(std::uint32_t partition, std::string_view user, std::int64_t time, const char* at) {
    const auto size = static_cast<std::size_t>(at - row_.data());
    redis_.set(user, {row_.data(), size});
    while (true) {
      const rd_kafka_resp_err_t error = rd_kafka_producev(
          producer_, RD_KAFKA_V_RKT(topic_),
          RD_KAFKA_V_PARTITION(static_cast<std::int32_t>(partition)),
          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(user.data(), user.size()),
          RD_KAFKA_V_VALUE(row_.data(), size), RD_KAFKA_V_TIMESTAMP(time), RD_KAFKA_V_END);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return;
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) check(error, "produce");
      rd_kafka_poll(producer_, 10);
    }
  }
  void finish() { redis_.finish(); }

 private:
  rd_kafka_t* producer_;
  rd_kafka_topic_t* topic_;
  Redis redis_;
  std::vector<char> row_ = std::vector<char>(4096);
};

struct Settings {
  std::string brokers, input, output;
  int redis_port;
  Emit emit;
  std::int64_t disorder, lateness, emit_interval;
  std::chrono::milliseconds commit_interval;
};

class Loop {
 public:
  explicit Loop(const Settings& settings)
      : settings_(settings),
        consumer_(client(RD_KAFKA_CONSUMER, {{"bootstrap.servers", settings.brokers},
                                             {"group.id", "by-hand-" + settings.output},
                                             {"isolation.level", "read_committed"},
                                             {"enable.auto.commit", "false"},
                                             {"enable.partition.eof", "true"},
                                             {"check.crcs", "true"},
                                             {"queued.min.messages", "1000000"},
                                             {"fetch.message.max.bytes", "4194304"},
                                             {"fetch.wait.max.ms", "100"}})),
        producer_(client(RD_KAFKA_PRODUCER, {{"bootstrap.servers", settings.brokers},
                                             {"transactional.id", "by-hand-" + settings.output},
                                             {"compression.type", "lz4"},
                                             {"linger.ms", "5"},
                                             {"queue.buffering.max.messages", "1000000"},
                                             {"batch.num.messages", "100000"},
                                             {"batch.size", "1000000"}})),
        rows_(producer_, settings.output, settings.redis_port) {
    check(rd_kafka_init_transactions(producer_, 30'000), "init_transactions");
    assign();
  }

  void run() {
    Features features(rows_, partitions_.size(), settings_.emit, settings_.emit_interval);
    rd_kafka_queue_t* queue = rd_kafka_queue_get_consumer(consumer_);
    static rd_kafka_message_t* messages[1000];
    check(rd_kafka_begin_transaction(producer_), "begin_transaction");
    auto due = steady_clock::now() + settings_.commit_interval;
    while (num_finished_ < partitions_.size()) {
      const ssize_t n = rd_kafka_consume_batch_queue(queue, 100, messages, 1000);
      for (ssize_t i = 0; i < n; ++i) {
        take(*messages[i], features);
        rd_kafka_message_destroy(messages[i]);
      }
      move_on(features);
      rd_kafka_poll(producer_, 0);
      if (steady_clock::now() < due) continue;
      rows_.finish();
      commit();
      check(rd_kafka_begin_transaction(producer_), "begin_transaction");
      due = steady_clock::now() + settings_.commit_interval;
    }
    // The end: every record takes effect; nothing decays beyond the greatest time.
    if (settings_.emit != Emit::kOnRecord) features.fire(kMax, watermark_, watermark_);
    rows_.finish();
    commit();
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(consumer_);
    std::printf("events %llu rows %llu late %llu bad %llu\n",
                static_cast<unsigned long long>(events_),
                static_cast<unsigned long long>(features.num_rows()),
                static_cast<unsigned long long>(late_), static_cast<unsigned long long>(bad_));
  }

 private:
  struct Input {
    std::int64_t greatest = kMin;
    bool is_finished = false;
  };

  void assign() {
    const rd_kafka_metadata_t* told = nullptr;
    rd_kafka_topic_t* topic = rd_kafka_topic_new(consumer_, settings_.input.c_str(), nullptr);
    check(rd_kafka_metadata(consumer_, 0, topic, &told, 30'000), "metadata");
    const int count = told->topics[0].partition_cnt;
    positions_ = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; ++i)
      rd_kafka_topic_partition_list_add(positions_, settings_.input.c_str(), i)->offset = 0;
    partitions_.resize(static_cast<std::size_t>(count));
    check(rd_kafka_assign(consumer_, positions_), "assign");
    rd_kafka_metadata_destroy(told);
    rd_kafka_topic_destroy(topic);
  }

  void take(const rd_kafka_message_t& message, Features<Rows>& features) {
    Input& input = partitions_[static_cast<std::size_t>(message.partition)];
    if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      if (!input.is_finished) ++num_finished_;
      input.is_finished = true;
      return;
    }
    check(message.err, "consume");
    ++events_;
    positions_->elems[message.partition].offset = message.offset + 1;
    if (room_.size() < message.len + simdjson::SIMDJSON_PADDING)
      room_.resize(2 * (message.len + simdjson::SIMDJSON_PADDING));
    std::memcpy(room_.data(), message.payload, message.len);
    Event event;
    if (!decoder_.decode({room_.data(), message.len}, event)) {
      ++bad_;
      return;
    }
    if (input.greatest != kMin &&
        event.time < input.greatest - settings_.disorder - settings_.lateness) {
      ++late_;
      return;
    }
    input.greatest = std::max(input.greatest, event.time);
    event.partition = message.partition;
    event.offset = message.offset;
    features.take(event);
  }

  void move_on(Features<Rows>& features) {
    std::int64_t merged = kMax;
    std::int64_t greatest = kMin;
    for (const Input& input : partitions_) {
      greatest = std::max(greatest, input.greatest);
      if (input.is_finished) continue;
      merged =
          std::min(merged, input.greatest == kMin ? kMin : input.greatest - settings_.disorder);
    }
    if (num_finished_ == partitions_.size()) merged = greatest + 1;
    if (merged <= watermark_) return;
    watermark_ = merged;
    std::int64_t settled = watermark_;
    if (settings_.emit != Emit::kOnRecord) settled -= settings_.lateness;
    if (settings_.emit == Emit::kCoalesced) settled = floor_to(settled, settings_.emit_interval);
    features.fire(settled, settled, settled);
  }

  void commit() {
    rd_kafka_consumer_group_metadata_t* group = rd_kafka_consumer_group_metadata(consumer_);
    check(rd_kafka_send_offsets_to_transaction(producer_, positions_, group, 30'000),
          "send_offsets");
    rd_kafka_consumer_group_metadata_destroy(group);
    check(rd_kafka_commit_transaction(producer_, 60'000), "commit");
  }

  const Settings settings_;
  rd_kafka_t* consumer_;
  rd_kafka_t* producer_;
  rd_kafka_topic_partition_list_t* positions_ = nullptr;
  Rows rows_;
  Decoder decoder_;
  std::string room_;
  std::vector<Input> partitions_;
  std::size_t num_finished_ = 0;
  std::int64_t watermark_ = kMin;
  std::uint64_t events_ = 0;
  std::uint64_t late_ = 0;
  std::uint64_t bad_ = 0;
};

}  // namespace
}  // namespace tidemill::hand

int main(int argc, char** argv) {
  using namespace tidemill::hand;
  if (argc != 10)
    fail("usage",
         "BROKERS INPUT OUTPUT REDIS_PORT MODE DISORDER LATENESS EMIT_INTERVAL COMMIT_INTERVAL");
  Loop({argv[1], argv[2], argv[3], std::atoi(argv[4]), emit_of(argv[5]), std::atoll(argv[6]),
        std::atoll(argv[7]), std::atoll(argv[8]), std::chrono::milliseconds(std::atoll(argv[9]))})
      .run();
}
