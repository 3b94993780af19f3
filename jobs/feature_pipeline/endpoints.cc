#include "jobs/feature_pipeline/endpoints.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "connectors/file/file_sink.h"
#include "connectors/file/file_source.h"
#include "connectors/formats/iso_time.h"
#include "connectors/formats/rejected_json.h"
#include "engine/base/error.h"
#include "jobs/feature_pipeline/row_json.h"
#include "jobs/feature_pipeline/settings.h"

namespace tidemill::features {
namespace fs = std::filesystem;
namespace {

struct TimeOfEvent {
  EventTime operator()(const UserEvent& e) const { return e.timestamp; }
};

EventTime parse_time(const std::string& flag, const std::string& text) {
  if (const auto time = parse_iso_time(text)) return *time;
  // People leave out seconds and zone in a day.
  if (text.size() == 10) {
    if (const auto day = parse_iso_time(text + "T00:00:00Z")) return *day;
  }
  std::int64_t ms = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (error == std::errc() && at == text.data() + text.size()) return {ms};
  throw Error(ErrorCode::kConfig,
              flag + " is no time such as 2026-01-01T00:00:00Z or epoch milliseconds: " + text);
}

// "user-events:0=5,user-events:1=7"
std::map<std::int32_t, std::int64_t> parse_offsets(const std::string& flag, const std::string& text,
                                                   const std::string& topic) {
  std::map<std::int32_t, std::int64_t> offsets;
  std::string_view rest(text);
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const std::size_t equals = item.rfind('=');
    const std::size_t colon =
        equals == std::string_view::npos ? std::string_view::npos : item.rfind(':', equals);
    std::int32_t partition = 0;
    std::int64_t offset = 0;
    const bool is_valid =
        colon != std::string_view::npos && equals > colon &&
        std::from_chars(item.data() + colon + 1, item.data() + equals, partition).ptr ==
            item.data() + equals &&
        std::from_chars(item.data() + equals + 1, item.data() + item.size(), offset).ptr ==
            item.data() + item.size() &&
        partition >= 0 && offset >= 0;
    if (!is_valid)
      throw Error(ErrorCode::kConfig, flag + " wants TOPIC:P=N,…: " + std::string(item));
    if (item.substr(0, colon) != topic) {
      throw Error(ErrorCode::kConfig,
                  flag + " names a topic that is not read: " + std::string(item.substr(0, colon)) +
                      "; the source is " + topic);
    }
    offsets[partition] = offset;
  }
  return offsets;
}

FilePosition file_position(const Config& config, const std::string& which,
                           const std::string& topic) {
  FilePosition position;
  const std::string offsets_key = which + ".offsets";
  const std::string time_key = which + ".time";
  const std::string offsets = config.text(offsets_key);
  const std::string time = config.text(time_key);
  if (!offsets.empty() && !time.empty()) {
    throw Error(ErrorCode::kConfig, Config::flag_of(offsets_key) + " and " +
                                        Config::flag_of(time_key) + " exclude each other");
  }
  if (!time.empty()) {
    position.kind = FilePosition::Kind::kTime;
    position.time = parse_time(Config::flag_of(time_key), time);
  } else if (offsets == "earliest" && which == "from") {
    position.kind = FilePosition::Kind::kEarliest;
  } else if (offsets == "latest") {
    position.kind = FilePosition::Kind::kLatest;
  } else if (offsets.starts_with("committed")) {
    throw Error(ErrorCode::kConfig, Config::flag_of(offsets_key) +
                                        " committed: a file log has no group offsets; use a "
                                        "checkpoint (--restore) or TOPIC:P=N");
  } else if (!offsets.empty()) {
    position.kind = FilePosition::Kind::kOffsets;
    position.offsets = parse_offsets(Config::flag_of(offsets_key), offsets, topic);
  }
  return position;
}

FileSourceSettings file_source_settings(const Environment& env) {
  const Config& config = env.config();
  FileSourceSettings settings;
  settings.dir = config.required("source.file.dir");
  settings.follow = config.boolean("source.file.follow");
  const std::string topic = file_topic(settings.dir);
  settings.start = file_position(config, "from", topic);
  settings.stop = file_position(config, "until", topic);
  auto decode = std::make_shared<JsonDecode<UserEvent>>(input_fields_of(config));
  settings.event_time_of = [decode](std::string_view line) -> std::optional<EventTime> {
    UserEvent event;
    Rejection why;
    RawRecord raw;
    raw.value = line;
    if (!(*decode)(raw, Origin{}, event, why)) return std::nullopt;
    return event.timestamp;
  };
  return settings;
}

EventTimeSettings<BoundedDisorder> event_time_of(const Config& config) {
  EventTimeSettings<BoundedDisorder> settings;
  settings.generator.disorder = config.duration("event_time.disorder");
  if (config.text("event_time.max_drift") != "off")
    settings.drift = config.duration("event_time.max_drift");
  return settings;
}

fs::path beside(const fs::path& dir, const std::string& name) {
  const fs::path clean = dir.filename().empty() ? dir.parent_path() : dir;
  return clean.parent_path() / name;
}

std::int32_t file_partitions(const Environment& env) {
  const Config& config = env.config();
  if (config.has("sinks.file.partitions"))
    return static_cast<std::int32_t>(config.integer("sinks.file.partitions", 1, 100'000));
  if (!config.has("source.file.dir")) {
    throw Error(ErrorCode::kConfig,
                "sinks.file.partitions is needed when the source is not a file log");
  }
  const auto partitions = list_file_partitions(config.required("source.file.dir"));
  if (partitions.empty())
    throw Error(ErrorCode::kConfig,
                "the file log has no partition-0: " + config.required("source.file.dir"));
  return partitions.back() + 1;
}

void add_file_sinks(const Environment& env, const Stream<FeatureRow>& rows,
                    const Stream<RejectedRecord>& late, const Stream<RejectedRecord>& bad,
                    const FeatureWindows& windows) {
  const Config& config = env.config();
  const fs::path dir = config.required("sinks.file.dir");
  const std::int32_t partitions = file_partitions(env);
  const auto sink_at = [&](const fs::path& where) {
    return file_sink({.dir = env.output_name(where.string()), .partitions = partitions});
  };
  const auto place = [&](const std::string& key) {
    return config.has(key + ".dir") ? fs::path(config.required(key + ".dir"))
                                    : beside(dir, config.required(key + ".topic"));
  };
  rows.sink_to("rows_to_files", sink_at(dir), RowJson(windows, "", false));
  late.sink_to("late_to_files", sink_at(place("late")), RejectedToFile(env.job()));
  if (config.text("bad_data.policy") == "dead_letter")
    bad.sink_to("bad_to_files", sink_at(place("bad_data")), RejectedToFile(env.job()));
}

}  // namespace

SourceStreams<UserEvent> add_events(Environment& env) {
  const Config& config = env.config();
  const SourceSettings settings = source_settings_of(config, env.parallelism());
  const EventTimeSettings<BoundedDisorder> event_time = event_time_of(config);
  const JsonDecode<UserEvent> decode(input_fields_of(config));
  if (config.has("source.file") == config.has("source.kafka.brokers")) {
    throw Error(ErrorCode::kConfig, "exactly one of source.kafka and source.file must be set");
  }
  const FileSourceSettings file = file_source_settings(env);
  if (list_file_partitions(file.dir).empty()) {
    throw Error(ErrorCode::kConfig, "the file log has no partitions: " + file.dir.string() +
                                        "; it needs partition-0, partition-1, …");
  }
  return add_source<UserEvent>(env.graph(), "user_events",
                               SourceSpec<RawRecord>{"file source", file_source(file)}, settings,
                               decode, TimeOfEvent{}, event_time);
}

void add_sinks(Environment& env, const Stream<FeatureRow>& rows, const Stream<RejectedRecord>& late,
               const Stream<RejectedRecord>& bad, const FeatureWindows& windows) {
  const Config& config = env.config();
  const bool has_files = config.has("sinks.file");
  if (!has_files)
    throw Error(ErrorCode::kConfig, "no sink is set: give sinks.kafka, sinks.redis or sinks.file");
  if (has_files) add_file_sinks(env, rows, late, bad, windows);
}

}  // namespace tidemill::features
