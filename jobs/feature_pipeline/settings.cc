#include "jobs/feature_pipeline/settings.h"

#include <algorithm>
#include <memory>
#include <set>

#include "app/source_rate.h"
#include "engine/base/error.h"
#include "jobs/feature_pipeline/kafka_endpoints.h"

namespace tidemill::features {
namespace {

Error wrong(const std::string& message) { return Error(ErrorCode::kConfig, message); }

}  // namespace

std::vector<ConfigKey> keys() {
  std::vector<ConfigKey> keys = {
      {"source.file.dir", "", "directory of a file log to read"},
      {"source.file.follow", "false", "wait for growth instead of ending with the files"},
      {"event_time.field", "timestamp", "input field of the event time"},
      {"event_time.disorder", "",
       "how far behind the greatest time of its partition a record may be"},
      {"event_time.lateness", "0s", "how much further behind it is still accepted"},
      {"event_time.idle", "30s", "when a silent partition is left out; off: never"},
      {"event_time.max_future_skew", "1h",
       "how far ahead of its Kafka timestamp an event time may be; off: any"},
      {"event_time.max_drift", "auto",
       "how far a partition may be read ahead of the slowest; off: any; auto: 1h in a run with an "
       "end, else off"},
      {"key", "user_id", "input field of the user"},
      {"features.windows", "5m,1h,24h", "trailing windows"},
      {"features.resolution", "auto", "slice length: auto, exact or a duration"},
      {"features.emit", "on_record", "on_record, on_watermark or coalesced"},
      {"features.emit_interval", "", "coalesced: at most one row a key and interval of event time"},
      {"features.changes_only", "false", "no row equal to the key's last one"},
      {"sinks.file.dir", "", "directory of a file log to write"},
      {"sinks.file.bucket", "",
       "a folder for each part of event time, such as day=%Y-%m-%d/%H:%M; default: none"},
      {"sinks.file.partitions", "", "its partitions; default: as many as the source has"},
      {"sinks.redis.url", "", "redis://[user@]host:port/db, rediss:// for TLS"},
      {"sinks.redis.ttl", "auto",
       "of each key: auto (largest window and its resolution) or a duration"},
      {"sinks.redis.key_prefix", "features:", "before the user"},
      {"sinks.redis.password_file", "", "file with the password"},
      {"sinks.redis.password_env", "", "variable with the password"},
      {"sinks.redis.ca_file", "", "CA certificates for rediss://"},
      {"sinks.redis.errors_per_minute", "0",
       "rows Redis may refuse in a minute before the job stops"},
      {"late.topic", "user-events-late", "topic of late records; of the directory too"},
      {"late.dir", "", "directory of late records; default: beside sinks.file.dir"},
      {"bad_data.policy", "fail", "fail, skip or dead_letter"},
      {"bad_data.errors_per_minute", "any", "bad records in a minute that do not stop the job"},
      {"bad_data.error_percent", "0", "besides, up to so many of a hundred records"},
      {"bad_data.topic", "user-events-dlq", "topic of bad records; of the directory too"},
      {"bad_data.dir", "", "directory of bad records; default: beside sinks.file.dir"},
  };
  const std::vector<ConfigKey> kafka = kafka_keys();
  keys.insert(keys.end(), kafka.begin(), kafka.end());
  return keys;
}

FeatureWindows windows_of(const Config& config) {
  FeatureWindows windows;
  const std::string resolution = config.text("features.resolution");
  std::set<Duration> seen;
  for (const std::string& name : config.list("features.windows")) {
    const auto size = parse_duration(name);
    if (!size || *size <= Duration::zero())
      throw wrong("features.windows holds something that is no positive duration: " + name);
    if (!seen.insert(*size).second) throw wrong("features.windows names one length twice: " + name);
    Trailing window{*size, Trailing::auto_resolution(*size)};
    if (resolution == "exact") {
      window.resolution = Duration(1);
    } else if (resolution != "auto") {
      const auto fixed = parse_duration(resolution);
      if (!fixed || *fixed <= Duration::zero())
        throw wrong("features.resolution is none of auto, exact, a positive duration: " +
                    resolution);
      window.resolution = *fixed;
    }
    if (!windows.windows.empty() && *size > windows.windows[windows.largest].size)
      windows.largest = windows.windows.size();
    windows.names.push_back(name);
    windows.windows.push_back(window);
  }
  if (windows.windows.empty())
    throw wrong("features.windows is empty; give at least one, e.g. [5m, 1h, 24h]");
  return windows;
}

TrailingOptions trailing_options_of(const Config& config) {
  TrailingOptions options;
  const std::string emit =
      config.choice("features.emit", {"on_record", "on_watermark", "coalesced"});
  options.emit = emit == "on_record"      ? TrailingEmit::kOnRecord
                 : emit == "on_watermark" ? TrailingEmit::kOnWatermark
                                          : TrailingEmit::kCoalesced;
  if (options.emit == TrailingEmit::kCoalesced) {
    options.interval = config.duration("features.emit_interval");
    if (options.interval <= Duration::zero())
      throw wrong("features.emit_interval must be positive");
  }
  options.lateness = config.duration("event_time.lateness");
  options.changes_only = config.boolean("features.changes_only");
  return options;
}

SourceSettings source_settings_of(const Config& config) {
  SourceSettings settings;
  if (config.text("event_time.idle") != "off") settings.idle = config.duration("event_time.idle");
  if (settings.idle && *settings.idle <= Duration::zero())
    throw wrong("event_time.idle must be positive, or off");
  if (config.text("event_time.max_future_skew") != "off")
    settings.max_future_skew = config.duration("event_time.max_future_skew");
  settings.lateness = config.duration("event_time.lateness");
  const std::string policy = config.choice("bad_data.policy", {"fail", "skip", "dead_letter"});
  settings.bad_data = policy == "fail"   ? BadDataPolicy::kFail
                      : policy == "skip" ? BadDataPolicy::kSkip
                                         : BadDataPolicy::kDeadLetter;
  if (config.text("bad_data.errors_per_minute") != "any") {
    settings.bad_budget = std::make_shared<SharedErrorBudget>(ErrorLimits{
        .errors_per_minute = static_cast<std::uint32_t>(
            config.integer("bad_data.errors_per_minute", 0, 1'000'000'000)),
        .error_share =
            static_cast<double>(config.integer("bad_data.error_percent", 0, 100)) / 100});
  } else if (config.integer("bad_data.error_percent", 0, 100) != 0) {
    throw wrong(
        "bad_data.error_percent needs bad_data.errors_per_minute: a number of them that is "
        "always tolerated");
  }
  limit_rate(config, settings);
  return settings;
}

JsonFields<UserEvent> input_fields_of(const Config& config) {
  const std::set<std::string> names = {config.required("key"), "action", "value",
                                       config.required("event_time.field")};
  if (names.size() < 4)
    throw wrong("key and event_time.field must name two fields besides action and value: " +
                config.text("key") + ", " + config.text("event_time.field"));
  return {{config.required("key"), &UserEvent::user_id},
          {"action", &UserEvent::action},
          {"value", &UserEvent::value},
          {config.required("event_time.field"), &UserEvent::timestamp}};
}

}  // namespace tidemill::features
