#include "service/tools/verify_outputs.h"

#include <algorithm>
#include <cstdio>
#include <sstream>
#include <thread>

#include <boost/json.hpp>

#include "app/config.h"
#include "connectors/redis/key_scan.h"
#include "connectors/redis/writer.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/checkpoint/storage.h"
#include "operators/trailing_key.h"
#include "service/tools/output_verify.h"

namespace tidemill::tools {
namespace json = boost::json;
namespace {

// A row that Redis had when checkpoint n was the newest is part of n + 2 at the latest: n + 1 may
// have been under way. And n + 2 is committed once there is n + 3.
constexpr CheckpointId kUntilCommitted = 3;
// Twice: an attempt that failed took with it what it had put into Redis and not committed.
constexpr int kLooks = 2;
constexpr auto kPause = std::chrono::milliseconds(300);
constexpr std::string_view kOursInRedis = "tidemill:";  // fences and notes (key_move.h)

// Reads both sides for a judgement.
class BothSides {
 public:
  BothSides(const Settings& settings, Output output, const std::string& replay,
            std::string checkpoints, OutputVerify& verify)
      : committed_(settings, output, replay),
        server_(redis_server_of(settings)),
        prefix_(redis_prefix_of(settings, replay)),
        checkpoints_(std::move(checkpoints)),
        verify_(verify) {}

  void read() {
    read_committed();
    scan_redis_keys(
        server_, prefix_,
        [&](std::string_view key) {
          if (!prefix_.empty() || !key.starts_with(kOursInRedis)) verify_.add_key(key);
        },
        clock_);
    read_stored(verify_.choose());
  }
  // Of a job that runs: what was ahead will be committed. False if that could not be awaited with
  // this patience, which each look has.
  [[nodiscard]] bool read_again(std::chrono::milliseconds patience) {
    for (int look = 0; look < kLooks && verify_.has_doubts(); ++look) {
      if (look > 0) read_stored(verify_.doubtful());
      if (!await_commits(patience)) return !verify_.has_doubts();
    }
    return true;
  }

 private:
  void read_committed() {
    committed_.read([&](const OutputRow& row) { verify_.add_committed(row); });
  }
  void read_stored(const std::vector<std::string>& keys) {
    read_redis_rows(
        server_, prefix_, keys,
        [&](const std::string& key, std::optional<std::string_view> row) {
          verify_.set_stored(key, row, clock_.processing_time().ms);
        },
        clock_);
  }
  // Until no doubt is left or all that Redis had when this began is committed. False: neither.
  [[nodiscard]] bool await_commits(std::chrono::milliseconds patience) {
    const CheckpointId enough = newest_checkpoint() + kUntilCommitted;
    const auto deadline = clock_.monotonic() + patience;
    while (verify_.has_doubts()) {
      std::this_thread::sleep_for(kPause);
      const bool is_enough = newest_checkpoint() >= enough;
      read_committed();
      if (is_enough) return true;
      if (clock_.monotonic() > deadline) return false;
    }
    return true;
  }
  [[nodiscard]] CheckpointId newest_checkpoint() const {
    if (checkpoints_.empty()) return 0;
    const auto all = CheckpointStorage(checkpoints_, CheckpointStorage::Access::kReadOnly).list();
    return all.empty() ? 0 : all.back().seq;
  }

  const SystemClock clock_;
  CommittedRows committed_;
  const RedisServerSettings server_;
  const std::string prefix_;
  const std::string checkpoints_;
  OutputVerify& verify_;
};

std::string verified(const std::string& file) {
  const json::object asked = question_in(file);
  const Settings settings = settings_in(asked.at("settings"));
  const std::string replay(asked.at("replay").as_string());
  const Output output = committed_output_of(settings);
  OutputVerify verify({.sample = asked.at("sample").to_number<std::size_t>(),
                       .seed = asked.at("seed").to_number<std::uint64_t>(),
                       .time_field = RedisWriterSettings().guard_field,
                       .ttl_ms = redis_ttl_of(settings),
                       .since_ms = asked.at("since_ms").to_number<std::int64_t>()});
  BothSides sides(settings, output, replay, std::string(asked.at("checkpoints").as_string()),
                  verify);
  sides.read();
  const bool is_certain =
      !asked.at("is_running").as_bool() ||
      sides.read_again(std::chrono::milliseconds(asked.at("patience_ms").to_number<int>()));
  std::string text =
      json::serialize(json::object{{"committed", place_of(settings, output, replay)},
                                   {"redis", place_of(settings, Output::kRedis, replay)},
                                   {"is_certain", is_certain}});
  text.back() = ',';
  return text + verify.json(asked.at("show").to_number<std::size_t>()).substr(1);
}

}  // namespace

Output committed_output_of(const Settings& settings) {
  if (text_of(settings, "sinks.redis.url").empty())
    throw Error(ErrorCode::kRefused,
                "the job does not write to Redis (sinks.redis.url is not set), so there is nothing "
                "that could disagree with what it has committed");
  if (!text_of(settings, "sinks.kafka.topic").empty()) return Output::kKafka;
  if (!text_of(settings, "sinks.file.dir").empty()) return Output::kFile;
  throw Error(
      ErrorCode::kRefused,
      "the job writes to Redis only, so what it has committed can be read nowhere else, "
      "and rows are not made from its state; set sinks.kafka.topic or sinks.file.dir besides");
}

std::optional<std::int64_t> redis_ttl_of(const Settings& settings) {
  const std::string ttl = text_of(settings, "sinks.redis.ttl");
  std::optional<Duration> found = parse_duration(ttl);
  if (ttl == "auto") {
    // The largest window and its resolution (docs/feature_pipeline.md).
    const auto resolution = parse_duration(text_of(settings, "features.resolution"));
    const bool is_exact = text_of(settings, "features.resolution") == "exact";
    std::istringstream names(text_of(settings, "features.windows"));
    for (std::string name; std::getline(names, name, ',');) {
      const auto size = parse_duration(name);
      if (!size) continue;
      const Duration finest = is_exact ? Duration(1) : Trailing::auto_resolution(*size);
      found = std::max(found.value_or(Duration::zero()), *size + resolution.value_or(finest));
    }
  }
  if (!found || *found <= Duration::zero()) return std::nullopt;
  return found->count();
}

int verify_outputs_command(const std::string& file) {
  std::printf("%s\n", verified(file).c_str());
  return 0;
}

}  // namespace tidemill::tools
