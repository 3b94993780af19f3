#include "jobs/feature_pipeline/file_endpoints.h"

#include <memory>
#include <optional>
#include <string>

#include "connectors/file/file_source.h"
#include "engine/base/error.h"
#include "jobs/feature_pipeline/positions.h"
#include "jobs/feature_pipeline/settings.h"

namespace tidemill::features {
namespace {

namespace fs = std::filesystem;

std::int32_t num_partitions(const Config& config) {
  if (config.has("sinks.file.partitions")) {
    return static_cast<std::int32_t>(config.integer("sinks.file.partitions", 1, 100'000));
  }
  if (!config.has("source.file")) {
    throw Error(ErrorCode::kConfig,
                "sinks.file.partitions is needed when the source is not a file log");
  }
  return list_file_partitions(config.required("source.file.dir")).back() + 1;
}

}  // namespace

SourceSpec<RawRecord> file_events(Environment& env) {
  const Config& config = env.config();
  FileSourceSettings settings;
  settings.dir = config.required("source.file.dir");
  env.claim_folder(settings.dir, Environment::Use::kRead);
  settings.follow = config.boolean("source.file.follow");
  const std::string topic = file_topic(settings.dir);
  settings.start = file_position(start_position(config), topic, "--from-offsets");
  settings.stop = file_position(stop_position(config), topic, "--until-offsets");
  (void)kafka::parse_partitions(config.text("accept.loss"));  // files lose none; its form counts
  auto decode = std::make_shared<JsonDecode<UserEvent>>(input_fields_of(config));
  settings.event_time_of = [decode](std::string_view line) -> std::optional<EventTime> {
    UserEvent event;
    Rejection why;
    RawRecord raw;
    raw.value = line;
    if (!(*decode)(raw, Origin{}, event, why)) return std::nullopt;
    return event.timestamp;
  };
  if (list_file_partitions(settings.dir).empty()) {
    throw Error(ErrorCode::kConfig, "the file log has no partitions: " + settings.dir.string() +
                                        "; it needs partition-0, partition-1, …");
  }
  return {"file source", file_source(settings), file_source_parts()};
}

SinkSpec file_sink_at(Environment& env, const fs::path& dir, const std::string& bucket) {
  const fs::path clean = dir.filename().empty() ? dir.parent_path() : dir;
  const fs::path own = env.output_name(clean.string());
  env.claim_folder(own, Environment::Use::kWrite);
  return file_sink({.dir = own, .partitions = num_partitions(env.config()), .bucket = bucket});
}

fs::path side_directory(const Config& config, const std::string& key) {
  if (config.has(key + ".dir")) return config.required(key + ".dir");
  if (!config.has("sinks.file.dir")) {
    throw Error(ErrorCode::kConfig, key + ".dir is needed when the rows go to Redis only");
  }
  const fs::path rows = config.required("sinks.file.dir");
  const fs::path clean = rows.filename().empty() ? rows.parent_path() : rows;
  return clean.parent_path() / config.required(key + ".topic");
}

}  // namespace tidemill::features
