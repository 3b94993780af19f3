#include "jobs/feature_pipeline/kafka_endpoints.h"

#include <map>
#include <vector>

#include "connectors/formats/json_writer.h"
#include "connectors/kafka/commit_protocol.h"
#include "connectors/kafka/settings.h"
#include "connectors/kafka/sink.h"
#include "connectors/kafka/source.h"
#include "connectors/kafka/start_checks.h"
#include "connectors/kafka/transaction_admin.h"
#include "engine/base/error.h"
#include "jobs/feature_pipeline/positions.h"

namespace tidemill::features {
namespace {

kafka::ClientSettings client_of(const Config& config, const std::string& section) {
  kafka::ClientSettings client;
  client.brokers = config.text(section + ".brokers");
  client.properties = config.below(section + ".properties");
  client.password_file = config.text(section + ".password_file");
  client.password_env = config.text(section + ".password_env");
  client.key_password_file = config.text(section + ".key_password_file");
  client.key_password_env = config.text(section + ".key_password_env");
  return client;
}

kafka::SourceSettings source_settings(const Environment& env) {
  const Config& config = env.config();
  kafka::SourceSettings settings;
  settings.client = source_client_of(config);
  settings.job = env.job();
  settings.topics = config.list("source.kafka.topic");
  settings.topic_pattern = config.text("source.kafka.topic_pattern");
  settings.group = config.text("source.kafka.group");
  settings.discovery_interval = config.duration("source.kafka.discovery_interval");
  settings.accept_loss = kafka::parse_partitions(config.text("accept.loss"));
  settings.start = start_position(config);
  if (settings.start.kind == kafka::PositionSpec::Kind::kNone) {
    settings.start = kafka::parse_start(config.required("source.kafka.start"));
  }
  settings.stop = stop_position(config);
  return settings;
}

// Rows go to a topic that somebody made (or said how to make); a replay's topics are made like the
// originals. Those of late and bad records get the rows' partitions, not their settings: a record
// without a key would be refused by a compacted topic.
kafka::SinkSettings sink_settings(const Environment& env, const std::string& topic) {
  const Config& config = env.config();
  kafka::SinkSettings settings;
  const std::string rows = config.text("sinks.kafka.topic");
  if (topic != rows) {
    const auto inputs = config.list("source.kafka.topic");
    settings.create.as_wide = !rows.empty() ? rows : inputs.empty() ? topic : inputs.front();
  }
  if (env.is_replay()) settings.create.like = topic;
  settings.topic = env.output_name(topic);
  settings.is_wall_clock =
      config.choice("sinks.kafka.timestamp", {"event_time", "wall_clock"}) == "wall_clock";
  if (!config.text("sinks.kafka.create.partitions").empty()) {
    settings.create.partitions =
        static_cast<std::int32_t>(config.integer("sinks.kafka.create.partitions", 1, 100'000));
  }
  return settings;
}

Finding as_finding(const kafka::StartFinding& found) {
  const bool is_error = found.weight == kafka::StartFinding::Weight::kError;
  return {is_error ? Finding::Severity::kError : Finding::Severity::kWarning, found.text,
          ErrorCode::kConfig};
}

const char* name_of(kafka::HeldPartition::Role role) {
  switch (role) {
    case kafka::HeldPartition::Role::kInput: return "input";
    case kafka::HeldPartition::Role::kCommitRecord: return "commit_record";
    case kafka::HeldPartition::Role::kOutput: break;
  }
  return "output";
}

std::string to_json(const std::string& job, const kafka::TransactionView& view) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("job", job).field("transactional_id", view.transactional_id);
  json.field("transaction_timeout_ms", std::int64_t{view.timeout.count()});
  json.key("held").begin_array();
  for (const kafka::HeldPartition& held : view.held) {
    json.begin_object().field("partition", kafka::to_string(held.partition));
    json.field("role", name_of(held.role)).field("last_stable_offset", held.last_stable);
    json.field("high_watermark", held.high_watermark);
    json.field("offsets", held.high_watermark - held.last_stable).end_object();
  }
  json.end_array().end_object();
  return out;
}

}  // namespace

std::vector<ConfigKey> kafka_keys() {
  return {
      {"source.kafka.brokers", "", "bootstrap servers"},
      {"source.kafka.topic", "", "topic to read; several separated by commas"},
      {"source.kafka.topic_pattern", "", "regular expression of topics to read"},
      {"source.kafka.start", "earliest",
       "earliest, latest, committed[:earliest|:latest] or TOPIC:P=N,…"},
      {"source.kafka.group", "",
       "consumer group whose offsets `committed` means and lag tools see; default: the job's name"},
      {"source.kafka.password_file", "", "file with the SASL password"},
      {"source.kafka.password_env", "", "variable with the SASL password"},
      {"source.kafka.key_password_file", "", "file with the TLS key's password"},
      {"source.kafka.key_password_env", "", "variable with the TLS key's password"},
      {"source.kafka.discovery_interval", "60s", "how often new partitions are looked for"},
      {"source.kafka.properties.*", "", "passed through to librdkafka"},
      {"sinks.kafka.brokers", "", "bootstrap servers; default: the source's"},
      {"sinks.kafka.topic", "", "topic of the rows"},
      {"sinks.kafka.create.partitions", "",
       "make output topics that do not exist, with so many partitions"},
      {"sinks.kafka.delivery", "exactly_once", "exactly_once or at_least_once"},
      {"sinks.kafka.timestamp", "event_time",
       "timestamp of output records: event_time or wall_clock"},
      {"sinks.kafka.transaction_timeout", "0s", "0s: from the checkpoint interval"},
      {"sinks.kafka.password_file", "", "file with the SASL password"},
      {"sinks.kafka.password_env", "", "variable with the SASL password"},
      {"sinks.kafka.key_password_file", "", "file with the TLS key's password"},
      {"sinks.kafka.key_password_env", "", "variable with the TLS key's password"},
      {"sinks.kafka.properties.*", "", "passed through to librdkafka"},
  };
}

kafka::ClientSettings source_client_of(const Config& config) {
  (void)config.required("source.kafka.brokers");
  return client_of(config, "source.kafka");
}

kafka::ClientSettings sink_client_of(const Config& config) {
  kafka::ClientSettings own = client_of(config, "sinks.kafka");
  if (!own.brokers.empty()) return own;
  kafka::ClientSettings client = source_client_of(config);
  for (const auto& [name, value] : own.properties) client.properties[name] = value;
  if (!own.password_file.empty() || !own.password_env.empty()) {
    client.password_file = own.password_file;
    client.password_env = own.password_env;
  }
  if (!own.key_password_file.empty() || !own.key_password_env.empty()) {
    client.key_password_file = own.key_password_file;
    client.key_password_env = own.key_password_env;
  }
  return client;
}

SourceSpec<RawRecord> kafka_events(const Environment& env) {
  return {"kafka source", kafka::source(source_settings(env)), kafka::source_parts()};
}

SinkSpec kafka_sink(Environment& env, const std::string& topic) {
  env.note_output(topic);
  return kafka::sink(sink_settings(env, topic));
}

void commit_with_kafka_if_used(Environment& env) {
  const Config& config = env.config();
  const bool has_source = config.has("source.kafka");
  if (has_source || config.has("sinks.kafka"))
    commit_with_kafka(env, has_source ? std::optional<std::string>("user_events") : std::nullopt);
}

void commit_with_kafka(Environment& env, const std::optional<std::string>& source) {
  const Config& config = env.config();
  kafka::CommitSettings settings;
  settings.client = sink_client_of(config);
  settings.job = env.job();
  settings.guarantee =
      config.choice("sinks.kafka.delivery", {"exactly_once", "at_least_once"}) == "exactly_once"
          ? kafka::Guarantee::kExactlyOnce
          : kafka::Guarantee::kAtLeastOnce;
  settings.checkpoint_interval = config.duration("checkpoint.interval");
  settings.transaction_timeout = config.duration("sinks.kafka.transaction_timeout");
  if (source) settings.sources = {{*source, source_client_of(config)}};
  settings.accept_duplicates = config.boolean("accept.duplicates");
  env.commit_with(kafka::commit_protocol(settings, env.metrics()));

  std::vector<kafka::SinkSettings> sinks;
  for (const std::string& topic : env.outputs()) {
    sinks.push_back(sink_settings(env, topic));
  }
  std::map<std::string, kafka::SourceSettings> sources;
  if (source) sources.emplace(*source, source_settings(env));
  std::vector<std::string> outputs;
  for (const kafka::SinkSettings& sink : sinks) outputs.push_back(sink.topic);
  env.administer_with({[settings, outputs, sources] {
                         return to_json(settings.job,
                                        kafka::view_transactions(settings, outputs, sources));
                       },
                       [settings, outputs, &metrics = env.metrics()] {
                         kafka::abort_transaction(settings, outputs, metrics);
                       }});
  env.check([settings, sinks, sources](std::vector<Finding>& findings) {
    try {
      for (const auto& found : kafka::check_start(settings, sinks, sources)) {
        findings.push_back(as_finding(found));
      }
      findings.push_back({Finding::Severity::kInfo, "Kafka answers: " + settings.client.brokers});
    } catch (const Error& e) {
      // Brokers that are away come back: the job waits for them.
      const bool is_away = e.code() == ErrorCode::kIo;
      findings.push_back(
          {is_away ? Finding::Severity::kWarning : Finding::Severity::kError, e.what(), e.code()});
    }
  });
}

}  // namespace tidemill::features
