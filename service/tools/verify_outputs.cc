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
#include "engine/base/files.h"
#include "operators/trailing_key.h"
#include "service/tools/output_verify.h"

namespace tidemill::tools {
namespace json = boost::json;
namespace {

// What a running job has put into Redis is committed within an interval and what the commit takes.
constexpr Duration kLeastPatience = 5s;
constexpr Duration kMostPatience = 1min;
constexpr Duration kPause = 500ms;
constexpr std::string_view kOursInRedis = "tidemill:";  // fences and notes (key_move.h)

std::string setting(const Settings& settings, const char* key) {
  const auto found = settings.find(key);
  return found == settings.end() ? "" : found->second;
}

Duration patience_of(const Settings& settings) {
  const auto interval = parse_duration(setting(settings, "checkpoint.interval"));
  return std::clamp(3 * interval.value_or(kLeastPatience), kLeastPatience, kMostPatience);
}

std::string verified(const std::string& file) {
  const Bytes bytes = read_file(file);
  const json::object asked =
      json::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}).as_object();
  Settings settings;
  for (const auto& [key, value] : asked.at("settings").as_object())
    settings[std::string(key)] = std::string(value.as_string());
  const std::string replay(asked.at("replay").as_string());
  const Output output = committed_output_of(settings);
  const RedisServerSettings server = redis_server_of(settings);
  const std::string prefix = redis_prefix_of(settings, replay);
  OutputVerify verify({.sample = asked.at("sample").to_number<std::size_t>(),
                       .seed = asked.at("seed").to_number<std::uint64_t>(),
                       .time_field = RedisWriterSettings().guard_field,
                       .ttl_ms = redis_ttl_of(settings),
                       .since_ms = asked.at("since_ms").to_number<std::int64_t>()});
  const SystemClock clock;
  CommittedRows committed(settings, output, replay);
  const auto read_committed = [&] {
    committed.read([&](const OutputRow& row) { verify.add_committed(row); });
  };
  const auto read_stored = [&](const std::vector<std::string>& keys) {
    read_redis_rows(
        server, prefix, keys,
        [&](const std::string& key, std::optional<std::string_view> row) {
          verify.set_stored(key, row, clock.processing_time().ms);
        },
        clock);
  };
  read_committed();
  scan_redis_keys(
      server, prefix,
      [&](std::string_view key) {
        if (!prefix.empty() || !key.starts_with(kOursInRedis)) verify.add_key(key);
      },
      clock);
  read_stored(verify.choose());
  const auto deadline = clock.monotonic() + patience_of(settings);
  while (asked.at("is_running").as_bool() && clock.monotonic() < deadline &&
         !verify.doubtful().empty()) {
    std::this_thread::sleep_for(kPause);
    read_committed();
    read_stored(verify.doubtful());
  }
  json::object places{{"committed", place_of(settings, output, replay)},
                      {"redis", place_of(settings, Output::kRedis, replay)}};
  std::string text = json::serialize(places);
  text.back() = ',';
  return text + verify.json(asked.at("show").to_number<std::size_t>()).substr(1);
}

}  // namespace

Output committed_output_of(const Settings& settings) {
  if (setting(settings, "sinks.redis.url").empty())
    throw Error(ErrorCode::kRefused,
                "the job does not write to Redis (sinks.redis.url is not set), so there is nothing "
                "that could disagree with what it has committed");
  if (!setting(settings, "sinks.kafka.topic").empty()) return Output::kKafka;
  if (!setting(settings, "sinks.file.dir").empty()) return Output::kFile;
  throw Error(
      ErrorCode::kRefused,
      "the job writes to Redis only, so what it has committed can be read nowhere else, "
      "and rows are not made from its state; set sinks.kafka.topic or sinks.file.dir besides");
}

std::optional<std::int64_t> redis_ttl_of(const Settings& settings) {
  const std::string ttl = setting(settings, "sinks.redis.ttl");
  std::optional<Duration> found = parse_duration(ttl);
  if (ttl == "auto") {
    // The largest window and its resolution (docs/feature_pipeline.md).
    const auto resolution = parse_duration(setting(settings, "features.resolution"));
    const bool is_exact = setting(settings, "features.resolution") == "exact";
    std::istringstream names(setting(settings, "features.windows"));
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
