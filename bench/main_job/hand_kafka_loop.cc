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
#include <string>
#include <string_view>
#include <vector>

#include "bench/kafka/loop_by_hand.h"
#include "bench/main_job/hand_features.h"

namespace tidemill::hand {
namespace {

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
  Rows(KafkaByHand& kafka, int redis_port) : kafka_(kafka), redis_(redis_port) {}

  char* room(std::uint32_t, std::size_t size) {
    if (row_.size() < size) row_.resize(2 * size);
    return row_.data();
  }
  void end(std::uint32_t partition, std::string_view user, std::int64_t time, const char* at) {
    const auto size = static_cast<std::size_t>(at - row_.data());
    redis_.set(user, {row_.data(), size});
    kafka_.produce([&](rd_kafka_t* producer) {
      return rd_kafka_producev(
          producer, RD_KAFKA_V_RKT(kafka_.topic()),
          RD_KAFKA_V_PARTITION(static_cast<std::int32_t>(partition)),
          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(user.data(), user.size()),
          RD_KAFKA_V_VALUE(row_.data(), size), RD_KAFKA_V_TIMESTAMP(time), RD_KAFKA_V_END);
    });
  }
  void finish() { redis_.finish(); }

 private:
  KafkaByHand& kafka_;
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
        kafka_("hand_kafka_loop", settings.brokers, settings.input, settings.output,
               {{"check.crcs", "true"}}),
        rows_(kafka_, settings.redis_port),
        partitions_(static_cast<std::size_t>(kafka_.num_partitions())) {}

  void run() {
    Features features(rows_, partitions_.size(), settings_.emit, settings_.emit_interval);
    kafka_.run(
        settings_.commit_interval,
        [&](std::int32_t partition, const rd_kafka_message_t* message) {
          take(partitions_[static_cast<std::size_t>(partition)], message, features);
        },
        [&] { move_on(features); }, [&] { rows_.finish(); },
        [&] { return num_finished_ == partitions_.size(); });
    // The end: every record takes effect; nothing decays beyond the greatest time.
    if (settings_.emit != Emit::kOnRecord) features.fire(kMax, watermark_, watermark_);
    rows_.finish();
    kafka_.finish();
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

  // No message: the partition's end.
  void take(Input& input, const rd_kafka_message_t* message, Features<Rows>& features) {
    if (message == nullptr) {
      if (!input.is_finished) ++num_finished_;
      input.is_finished = true;
      return;
    }
    ++events_;
    if (room_.size() < message->len + simdjson::SIMDJSON_PADDING)
      room_.resize(2 * (message->len + simdjson::SIMDJSON_PADDING));
    std::memcpy(room_.data(), message->payload, message->len);
    Event event;
    if (!decoder_.decode({room_.data(), message->len}, event)) {
      ++bad_;
      return;
    }
    if (input.greatest != kMin &&
        event.time < input.greatest - settings_.disorder - settings_.lateness) {
      ++late_;
      return;
    }
    input.greatest = std::max(input.greatest, event.time);
    event.partition = message->partition;
    event.offset = message->offset;
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

  const Settings settings_;
  KafkaByHand kafka_;
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
