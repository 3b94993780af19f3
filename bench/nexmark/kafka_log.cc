#include "bench/nexmark/kafka_log.h"

#include <algorithm>
#include <cstdio>

#include "bench/nexmark/event_lines.h"
#include "connectors/kafka/admin.h"
#include "connectors/kafka/transactional_producer.h"
#include "engine/base/error.h"
#include "engine/base/metrics.h"
#include "jobs/feature_pipeline/kafka_endpoints.h"

namespace tidemill::nexmark {
namespace {

constexpr const char* kClientId = "nexmark-events";
constexpr const char* kForEver = "-1";

std::int64_t num_records(kafka::Admin& admin, const std::string& topic, std::int32_t partitions) {
  std::vector<kafka::TopicPartition> all;
  for (std::int32_t p = 0; p < partitions; ++p) all.emplace_back(topic, p);
  std::int64_t records = 0;
  for (const auto& [_, end] : admin.offsets(all, kafka::LogPoint::kHighWatermark)) records += end;
  for (const auto& [_, start] : admin.offsets(all, kafka::LogPoint::kStart)) records -= start;
  return records;
}

void write_events(const kafka::ClientSettings& client, const std::string& topic,
                  const GeneratorSettings& settings, std::int64_t events) {
  MetricRegistry metrics;
  // Idempotent: a record that is sent again is not doubled.
  kafka::TransactionalProducer producer({.client = client, .client_id = kClientId}, metrics);
  producer.init();
  kafka::OutputRecord record{.topic = producer.add_topic(topic), .has_key = true};
  producer.begin();
  for_each_keyed_line(settings, events, [&](const KeyedLine& event) {
    const std::string key = std::to_string(event.key);
    record.key = key;
    record.value = event.line;
    record.timestamp_ms = std::max<std::int64_t>(1, event.at.ms);
    kafka::ProduceResult result = producer.produce(record);
    if (result.status == kafka::ProduceStatus::kQueueFull) {
      producer.flush();
      result = producer.produce(record);
    }
    if (result.status != kafka::ProduceStatus::kAccepted) throw producer.refusal(record, result);
  });
  producer.commit();
}

}  // namespace

std::vector<ConfigKey> kafka_settings(const std::string& events_topic,
                                      const std::string& rows_topic) {
  std::vector<ConfigKey> keys = features::kafka_keys();
  const auto preset = [&](const std::string& name, const std::string& value) {
    for (ConfigKey& key : keys) {
      if (key.name == name) key.fallback = value;
    }
  };
  preset("source.kafka.brokers", "127.0.0.1:9092");
  preset("source.kafka.topic", events_topic);
  preset("sinks.kafka.topic", rows_topic);
  preset("sinks.kafka.create.partitions", std::to_string(kLogPartitions));
  // Event time is of 2015, which brokers would throw away as too old.
  preset("sinks.kafka.timestamp", "wall_clock");
  return keys;
}

void make_topic(const Config& config, const GeneratorSettings& settings, std::int64_t events) {
  const std::vector<std::string> topics = config.list("source.kafka.topic");
  if (topics.size() != 1 || !config.text("source.kafka.topic_pattern").empty())
    throw Error(ErrorCode::kConfig,
                "the events are read from one topic: give source.kafka.topic one name and "
                "source.kafka.topic_pattern none");
  const std::string& topic = topics.front();
  const kafka::ClientSettings client = features::source_client_of(config);
  kafka::Admin admin(client, kClientId);
  if (!admin.topic(topic)) {
    const auto brokers = static_cast<std::int32_t>(admin.num_brokers());
    admin.create_topic({.name = topic,
                        .num_partitions = kLogPartitions,
                        .replication = std::min(kafka::kReplicationOfOurs, brokers),
                        .config = {{"retention.ms", kForEver}, {"retention.bytes", kForEver}}});
  }
  const std::int32_t partitions = admin.topic(topic).value().num_partitions;
  if (num_records(admin, topic, partitions) == 0) {
    if (admin.topic_config(topic)["retention.ms"] != kForEver)
      std::fprintf(stderr,
                   "warning: %s keeps its records for a time only, and event times may be of long "
                   "ago; give it retention.ms=-1\n",
                   topic.c_str());
    write_events(client, topic, settings, events);
  }
  const std::int64_t records = num_records(admin, topic, partitions);
  if (records != events)
    throw Error(ErrorCode::kRefused,
                "the topic of the events holds others, or was not written to its end: " + topic +
                    " has " + std::to_string(records) + " records instead of " +
                    std::to_string(events) + "; delete it, or name another (source.kafka.topic)");
}

}  // namespace tidemill::nexmark
