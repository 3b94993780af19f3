#include "connectors/kafka/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>

#include "engine/base/error.h"

namespace tidemill::kafka {
namespace {

constexpr Duration kSlowestSnapshot = 27s;
constexpr Duration kSocketTimeout = 10s;

// Set by the protocol or by a setting of ours; passing them through would break a promise.
struct OwnedProperty {
  std::string_view name;
  std::string_view instead;
};
constexpr std::array kOwned = {
    OwnedProperty{"bootstrap.servers", "use `brokers`"},
    OwnedProperty{"metadata.broker.list", "use `brokers`"},
    OwnedProperty{"client.id", "it is the job's name and slot"},
    OwnedProperty{"transactional.id", "it is the job's name and slot"},
    OwnedProperty{"transaction.timeout.ms", "use `transaction_timeout`"},
    OwnedProperty{"enable.idempotence", "exactly-once needs it"},
    OwnedProperty{"acks", "exactly-once needs all"},
    OwnedProperty{"request.required.acks", "exactly-once needs all"},
    OwnedProperty{"socket.max.fails", "late requests are recognised by it"},
    OwnedProperty{"delivery.report.only.error", "the sink counts by it"},
    OwnedProperty{"group.id", "use `group`"},
    OwnedProperty{"group.instance.id", "this source is in no group"},
    OwnedProperty{"isolation.level", "use `isolation`"},
    OwnedProperty{"enable.auto.commit", "offsets are kept in the commit record"},
    OwnedProperty{"enable.auto.offset.store", "offsets are kept in the commit record"},
    OwnedProperty{"auto.offset.reset", "use `start`; nothing is ever reset silently"},
    OwnedProperty{"enable.partition.eof", "the source needs it"},
};

constexpr std::array kSecrets = {
    OwnedProperty{"sasl.password", "use `password_file` or `password_env`"},
    OwnedProperty{"ssl.key.password", "use `key_password_file` or `key_password_env`"},
    OwnedProperty{"ssl.keystore.password", "use a PEM key and `key_password_file`"},
    OwnedProperty{"ssl.key.pem", "use `ssl.key.location`"},
    OwnedProperty{"sasl.oauthbearer.client.secret", "secrets in a configuration get printed"},
    OwnedProperty{"sasl.oauthbearer.config", "secrets in a configuration get printed"},
};

template <class List>
void refuse_listed(const Properties& properties, const List& list, const char* why) {
  for (const auto& [name, value] : properties) {
    for (const OwnedProperty& owned : list) {
      if (owned.name == name) {
        throw Error(ErrorCode::kConfig,
                    std::string(why) + ": properties." + name + ": " + std::string(owned.instead));
      }
    }
  }
}

std::string read_secret(const char* setting, const std::string& file, const std::string& env) {
  if (!file.empty() && !env.empty()) {
    throw Error(
        ErrorCode::kConfig,
        std::string("a Kafka secret is given twice, by file and by environment: ") + setting);
  }
  if (!file.empty()) {
    std::ifstream in(file);
    std::string line;
    if (!in || !std::getline(in, line)) {
      throw Error(ErrorCode::kConfig, std::string("a Kafka secret cannot be read from its file: ") +
                                          setting + "_file, " + file);
    }
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return line;
  }
  const char* value = std::getenv(env.c_str());
  if (value == nullptr) {
    throw Error(ErrorCode::kConfig, std::string("a Kafka secret's environment variable is not "
                                                "set: ") +
                                        setting + "_env, " + env);
  }
  return value;
}

Properties client_properties(const ClientSettings& settings, const std::string& client_id) {
  if (settings.brokers.empty()) {
    throw Error(ErrorCode::kConfig, "no Kafka brokers are given: set `brokers`, host:port,…");
  }
  refuse_listed(settings.properties, kOwned, "this Kafka property is not free to be set");
  refuse_listed(settings.properties, kSecrets, "a Kafka secret stands in the configuration");
  Properties p{
      {"bootstrap.servers", settings.brokers},
      {"client.id", client_id},
      {"socket.timeout.ms", std::to_string(kSocketTimeout.count())},
      {"socket.keepalive.enable", "true"},
      {"socket.nagle.disable", "true"},
      // The default ceiling of 10 s makes every blip of a coordinator a commit stall of 10 s.
      {"reconnect.backoff.ms", "20"},
      {"reconnect.backoff.max.ms", "500"},
      {"log.connection.close", "false"},
      {"allow.auto.create.topics", "false"},
  };
  if (!settings.password_file.empty() || !settings.password_env.empty()) {
    p["sasl.password"] = read_secret("password", settings.password_file, settings.password_env);
  }
  if (!settings.key_password_file.empty() || !settings.key_password_env.empty()) {
    p["ssl.key.password"] =
        read_secret("key_password", settings.key_password_file, settings.key_password_env);
  }
  return p;
}

// What the user passed through wins over our defaults.
Properties with_user(Properties p, const ClientSettings& settings) {
  for (const auto& [name, value] : settings.properties) p[name] = value;
  return p;
}

template <class Integer>
Integer parse_number(std::string_view text, std::string_view whole) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) {
    throw Error(ErrorCode::kConfig,
                "a number in a Kafka setting is malformed: " + std::string(whole));
  }
  return value;
}

TopicPartition parse_partition(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    throw Error(ErrorCode::kConfig,
                "a Kafka partition is malformed, expected TOPIC:P: " + std::string(text));
  }
  return {std::string(text.substr(0, colon)),
          parse_number<std::int32_t>(text.substr(colon + 1), text)};
}

template <class Take>
void for_each_item(std::string_view text, Take take) {
  while (true) {
    const std::size_t comma = text.find(',');
    take(text.substr(0, comma));
    if (comma == std::string_view::npos) return;
    text.remove_prefix(comma + 1);
  }
}

PositionSpec parse_offsets(std::string_view text, const char* words) {
  PositionSpec spec{.kind = PositionSpec::Kind::kOffsets};
  for_each_item(text, [&](std::string_view item) {
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) {
      throw Error(ErrorCode::kConfig, std::string("a position is unknown, expected ") + words +
                                          " or TOPIC:P=N,…: " + std::string(text));
    }
    const TopicPartition partition = parse_partition(item.substr(0, equals));
    const auto offset = parse_number<std::int64_t>(item.substr(equals + 1), text);
    if (!spec.offsets.emplace(partition, offset).second) {
      throw Error(ErrorCode::kConfig,
                  "a Kafka partition has two positions: " + to_string(partition));
    }
  });
  return spec;
}

}  // namespace

std::string to_string(const TopicPartition& partition) {
  return partition.first + ":" + std::to_string(partition.second);
}

PositionSpec parse_start(std::string_view text) {
  using Kind = PositionSpec::Kind;
  if (text == "earliest") return {.kind = Kind::kEarliest};
  if (text == "latest") return {.kind = Kind::kLatest};
  if (text == "committed") return {.kind = Kind::kCommitted};
  if (text == "committed:earliest") return {.kind = Kind::kCommitted, .fallback = Kind::kEarliest};
  if (text == "committed:latest") return {.kind = Kind::kCommitted, .fallback = Kind::kLatest};
  return parse_offsets(text, "earliest, latest, committed[:earliest|:latest]");
}

PositionSpec parse_stop(std::string_view text) {
  using Kind = PositionSpec::Kind;
  if (text.empty() || text == "none") return {};
  if (text == "latest") return {.kind = Kind::kLatest};
  if (text == "committed") return {.kind = Kind::kCommitted};
  return parse_offsets(text, "latest, committed");
}

std::set<TopicPartition> parse_partitions(std::string_view text) {
  std::set<TopicPartition> partitions;
  if (text.empty()) return partitions;
  for_each_item(text, [&](std::string_view item) { partitions.insert(parse_partition(item)); });
  return partitions;
}

Duration transaction_timeout_of(const ProducerSettings& settings) {
  if (settings.transaction_timeout > 0s) return settings.transaction_timeout;
  return std::max<Duration>(30s, 3 * settings.checkpoint_interval + kSlowestSnapshot);
}

Duration socket_timeout_of(const ProducerSettings& settings) {
  const auto set = settings.client.properties.find("socket.timeout.ms");
  if (set != settings.client.properties.end()) {
    return Duration(parse_number<std::int64_t>(set->second, "socket.timeout.ms=" + set->second));
  }
  // librdkafka refuses a socket timeout beyond the transaction's.
  return std::min(kSocketTimeout, transaction_timeout_of(settings));
}

Properties producer_properties(const ProducerSettings& settings) {
  Properties p = client_properties(settings.client, settings.client_id);
  p.merge(Properties{
      {"enable.idempotence", "true"},
      {"retry.backoff.ms", "20"},
      {"linger.ms", "5"},
      {"batch.size", "1000000"},
      {"batch.num.messages", "100000"},
      {"queue.buffering.max.messages", "1000000"},
      {"queue.buffering.max.kbytes", "262144"},
      {"compression.type", "lz4"},
      {"delivery.report.only.error", "true"},
      // A timed-out request closes the connection: that is what rule R observes.
      {"socket.max.fails", "1"},
  });
  if (!settings.transactional_id.empty()) {
    p["transactional.id"] = settings.transactional_id;
    p["transaction.timeout.ms"] = std::to_string(transaction_timeout_of(settings).count());
    p["socket.timeout.ms"] = std::to_string(socket_timeout_of(settings).count());
  }
  return with_user(std::move(p), settings.client);
}

Properties consumer_properties(const SourceSettings& settings, std::size_t num_partitions) {
  const std::string client_id = settings.job + ".source";
  Properties p = lookup_properties(settings.client, client_id, settings.is_read_committed);
  // With one queue per partition librdkafka's limits hold for each of them. A limit below what one
  // second brings makes 2.0.2 stall for up to a second, hence the floor.
  constexpr std::size_t kFloor = 1024;  // KiB
  const std::size_t kib = settings.prefetch_bytes / 1024 / std::max<std::size_t>(1, num_partitions);
  p["queued.max.messages.kbytes"] = std::to_string(std::clamp<std::size_t>(kib, kFloor, 1u << 20));
  p["queued.min.messages"] = "1000000";
  p["fetch.message.max.bytes"] = "4194304";
  p["fetch.wait.max.ms"] = "100";
  p["fetch.min.bytes"] = "1";
  p["statistics.interval.ms"] = "5000";
  return with_user(std::move(p), settings.client);
}

Properties lookup_properties(const ClientSettings& settings, const std::string& client_id,
                             bool is_read_committed) {
  Properties p = client_properties(settings, client_id);
  p.merge(Properties{
      // assign() needs a group, and librdkafka crashes on some answers to a client without one
      // (confluentinc/librdkafka#5040). Never the job's: nothing done here can touch its offsets.
      {"group.id", client_id + ".unused"},
      {"isolation.level", is_read_committed ? "read_committed" : "read_uncommitted"},
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      {"auto.offset.reset", "error"},
      {"enable.partition.eof", "true"},
      {"check.crcs", "true"},
      {"fetch.error.backoff.ms", "50"},
      {"fetch.queue.backoff.ms", "10"},
      {"fetch.wait.max.ms", "50"},
  });
  return with_user(std::move(p), settings);
}

bool is_optional_property(std::string_view name) {
  return name == "fetch.queue.backoff.ms";  // since 2.2.0
}

}  // namespace tidemill::kafka
