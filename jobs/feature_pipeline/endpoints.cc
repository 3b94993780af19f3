#include "jobs/feature_pipeline/endpoints.h"

#include <string>
#include <utility>

#include "connectors/formats/rejected_json.h"
#include "connectors/redis/key_move.h"
#include "connectors/redis/sink.h"
#include "connectors/redis/startup_check.h"
#include "engine/base/error.h"
#include "jobs/feature_pipeline/file_endpoints.h"
#include "jobs/feature_pipeline/kafka_endpoints.h"
#include "jobs/feature_pipeline/positions.h"
#include "jobs/feature_pipeline/row_json.h"
#include "jobs/feature_pipeline/settings.h"

namespace tidemill::features {
namespace {

struct TimeOfEvent {
  EventTime operator()(const UserEvent& e) const { return e.timestamp; }
};

bool has_end(const Config& config) {
  if (stop_position(config).kind != kafka::PositionSpec::Kind::kNone) return true;
  return config.has("source.file") && !config.boolean("source.file.follow");
}

EventTimeSettings<BoundedDisorder> event_time_of(const Config& config) {
  EventTimeSettings<BoundedDisorder> settings;
  settings.generator.disorder = config.duration("event_time.disorder");
  const std::string drift = config.text("event_time.max_drift");
  if (drift == "auto") {
    // A run with an end reads history, where partitions are as far apart as chance will have it;
    // read side by side they need the state that a live job needs.
    if (has_end(config)) settings.drift = 1h;
  } else if (drift != "off") {
    settings.drift = config.duration("event_time.max_drift");
  }
  return settings;
}

RedisServerSettings redis_server_of(const Config& config) {
  RedisServerSettings server;
  server.url = config.required("sinks.redis.url");
  server.password_file = config.text("sinks.redis.password_file");
  server.password_env = config.text("sinks.redis.password_env");
  server.ca_file = config.text("sinks.redis.ca_file");
  return server;
}

// No row expires while it still counts.
Duration redis_ttl_of(const Config& config, const FeatureWindows& windows) {
  if (config.text("sinks.redis.ttl") != "auto") return config.duration("sinks.redis.ttl");
  const Trailing& largest = windows.windows[windows.largest];
  return largest.size + largest.resolution;
}

void add_redis_sink(Environment& env, const Stream<FeatureRow>& rows,
                    const FeatureWindows& windows) {
  const Config& config = env.config();
  RedisSinkSettings settings;
  settings.job = env.job();
  settings.writer.server = redis_server_of(config);
  settings.writer.errors.errors_per_minute =
      static_cast<std::uint32_t>(config.integer("sinks.redis.errors_per_minute", 0, 1'000'000'000));
  settings.ttl = redis_ttl_of(config, windows);
  const std::string prefix = env.key_prefix() + config.text("sinks.redis.key_prefix");
  rows.sink_to("rows_to_redis", redis_sink(settings), RowJson(windows, prefix, true));
  if (env.taken_over()) {
    RedisKeyMove move;
    move.server = settings.writer.server;
    move.job = env.job();
    move.replay = env.job() + "." + *env.taken_over();
    move.prefix = config.text("sinks.redis.key_prefix");
    move.replay_prefix = prefix;
    move.kept_prefix = "before-" + prefix;
    move.id = *env.taken_over();  // its checkpoint is known later
    check_redis_key_move(move);
    env.after_take_over([move](const std::string& lineage) mutable {
      move.id = lineage;
      (void)move_redis_keys(move, SystemClock());
    });
  }
  env.check([server = settings.writer.server](std::vector<Finding>& findings) {
    const SystemClock clock;
    try {
      const RedisServerReport report =
          check_redis_server(server, clock, std::chrono::milliseconds(5000));
      findings.push_back({Finding::Severity::kInfo, "Redis " + report.version + " answers"});
      for (const std::string& warning : report.warnings) {
        findings.push_back({Finding::Severity::kWarning, warning});
      }
    } catch (const Error& e) {
      // A server that is away comes back; one that will never take our rows is a mistake.
      const bool is_away = e.code() == ErrorCode::kIo;
      findings.push_back(
          {is_away ? Finding::Severity::kWarning : Finding::Severity::kError, e.what(), e.code()});
    }
  });
}

}  // namespace

SourceStreams<UserEvent> add_events(Environment& env) {
  const Config& config = env.config();
  const bool is_kafka = config.has("source.kafka");
  if (is_kafka == config.has("source.file")) {
    throw Error(ErrorCode::kConfig, "exactly one of source.kafka and source.file must be set");
  }
  return add_source<UserEvent>(
      env.graph(), "user_events", is_kafka ? kafka_events(env) : file_events(env),
      source_settings_of(config), JsonDecode<UserEvent>(input_fields_of(config)), TimeOfEvent{},
      event_time_of(config));
}

void add_sinks(Environment& env, const Stream<FeatureRow>& rows, const Stream<RejectedRecord>& late,
               const Stream<RejectedRecord>& bad, const FeatureWindows& windows) {
  const Config& config = env.config();
  const bool has_files = config.has("sinks.file.dir");
  const bool has_kafka = config.has("sinks.kafka.topic");
  const bool has_redis = config.has("sinks.redis.url");
  if (!has_files && !has_kafka && !has_redis) {
    throw Error(ErrorCode::kConfig, "no sink is set: give sinks.kafka, sinks.redis or sinks.file");
  }
  const bool is_dead_letter = config.text("bad_data.policy") == "dead_letter";
  const RowJson row_json(windows, "", false);
  if (has_kafka) {
    rows.sink_to("rows_to_kafka", kafka_sink(env, config.required("sinks.kafka.topic")), row_json);
  }
  if (has_files) {
    rows.sink_to(
        "rows_to_files",
        file_sink_at(env, config.required("sinks.file.dir"), config.text("sinks.file.bucket")),
        row_json);
  }
  if (has_redis) add_redis_sink(env, rows, windows);

  for (const char* sink : {"late_to_kafka", "bad_to_kafka", "late_to_files", "bad_to_files"}) {
    env.note_sink_of_rejects(sink);
  }
  // Late and bad records go where the rows go: a topic if there is a cluster, else directories.
  if (has_kafka || (config.has("source.kafka") && !has_files)) {
    const RejectedToTopic encode(env.job());
    late.sink_to("late_to_kafka", kafka_sink(env, config.required("late.topic")), encode);
    if (is_dead_letter) {
      bad.sink_to("bad_to_kafka", kafka_sink(env, config.required("bad_data.topic")), encode);
    }
  } else {
    const RejectedToFile encode(env.job());
    late.sink_to("late_to_files", file_sink_at(env, side_directory(config, "late")), encode);
    if (is_dead_letter) {
      bad.sink_to("bad_to_files", file_sink_at(env, side_directory(config, "bad_data")), encode);
    }
  }
  commit_with_kafka_if_used(env);
}

}  // namespace tidemill::features
