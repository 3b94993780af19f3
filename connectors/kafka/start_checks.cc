#include "connectors/kafka/start_checks.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

#include "connectors/kafka/admin.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"

namespace tidemill::kafka {
namespace {

using Weight = StartFinding::Weight;

// A job that is down longer than the input is kept loses records: less than a night is too little.
constexpr std::int64_t kShortRetentionMs = 12 * 3'600'000;
// Clocks that are kept differ by far less.
constexpr std::chrono::minutes kClockSkew{1};

std::optional<std::int64_t> number(const Properties& config, const std::string& name) {
  const auto found = config.find(name);
  std::int64_t value = 0;
  if (found == config.end()) return std::nullopt;
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is(const Properties& config, const std::string& name, const std::string& value) {
  const auto found = config.find(name);
  return found != config.end() && found->second == value;
}

class Checks {
 public:
  explicit Checks(const CommitSettings& commit) : commit_(commit) {}

  void check_transactions() {
    if (commit_.guarantee != Guarantee::kExactlyOnce) return;
    const ProducerSettings producer{.client = commit_.client,
                                    .checkpoint_interval = commit_.checkpoint_interval,
                                    .transaction_timeout = commit_.transaction_timeout};
    const std::int64_t timeout = transaction_timeout_of(producer).count();
    const std::int64_t interval = commit_.checkpoint_interval.count();
    if (timeout < 3 * interval) {
      warn("transaction_timeout, " + std::to_string(timeout) +
           " ms, is less than three checkpoint intervals of " + std::to_string(interval) +
           " ms: a slow checkpoint is replayed instead of committed");
    }
    const Properties broker = of_broker();
    const auto most = number(broker, "transaction.max.timeout.ms");
    if (most && timeout > *most) {
      fail("transaction_timeout, " + std::to_string(timeout) +
           " ms, is more than the brokers allow (transaction.max.timeout.ms=" +
           std::to_string(*most) + "): lower it, or raise theirs");
    }
    check_durability("__transaction_state", "the outcome of transactions");
    check_durability(commit_.job + ".__commits", "the commit record");
  }

  void check_output(const SinkSettings& sink) {
    const auto topic = admin(commit_.client).topic(sink.topic);
    if (!topic) {
      if (!sink.create.is_set()) {
        fail("the output topic " + sink.topic +
             " does not exist: create it, or set `create: {partitions: N}`");
      }
      return;
    }
    check_durability(sink.topic, "committed output");
    const Properties config = of_topic(sink.topic);
    const auto retention = number(config, "retention.ms");
    const bool is_by_event_time =
        !sink.is_wall_clock && !is(config, "message.timestamp.type", "LogAppendTime");
    if (is_by_event_time && retention && *retention >= 0 &&
        !is(config, "cleanup.policy", "compact")) {
      warn("the output topic " + sink.topic + " deletes rows whose event time is older than " +
           std::to_string(*retention) +
           " ms (retention.ms), at once if they come late or from a replay: use retention.ms=-1, "
           "message.timestamp.type=LogAppendTime, or the sink's wall-clock timestamps");
    }
  }

  void check_input(const SourceSettings& source) {
    for (const std::string& name : source.topics) {
      Admin& cluster = admin(source.client);
      const auto topic = cluster.topic(name);
      if (!topic) {
        fail("the input topic " + name + " does not exist");
        continue;
      }
      check_clock(*topic, cluster);
      const Properties config = of_topic(name, cluster);
      const auto retention = number(config, "retention.ms");
      if (retention && *retention >= 0 && *retention < kShortRetentionMs &&
          !is(config, "cleanup.policy", "compact")) {
        warn("the input topic " + name + " keeps records for only " + std::to_string(*retention) +
             " ms (retention.ms): after a longer stop the job would have lost some");
      }
      check_unclean(name, config);
    }
  }

  std::vector<StartFinding> take() { return std::move(findings_); }

 private:
  void check_durability(const std::string& name, const std::string& what) {
    const auto topic = admin(commit_.client).topic(name);
    if (!topic) return;  // made at its first use
    const Properties config = of_topic(name);
    const auto in_sync = number(config, "min.insync.replicas");
    if (topic->replication < 3 || (in_sync && *in_sync < 2)) {
      warn("topic " + name + " has " + std::to_string(topic->replication) +
           " replica(s) and min.insync.replicas=" + std::to_string(in_sync.value_or(1)) + ": " +
           what + " may be lost with one broker; 3 and 2 are advised");
    }
    check_unclean(name, config);
  }

  // Timestamps are its writers' clocks, or the brokers'.
  void check_clock(const TopicInfo& topic, Admin& cluster) {
    std::vector<TopicPartition> partitions;
    for (std::int32_t p = 0; p < topic.num_partitions; ++p) partitions.emplace_back(topic.name, p);
    const auto end = cluster.offsets(partitions, LogPoint::kLastStable);
    const EventTime now = SystemClock().processing_time();
    for (const auto& [partition, offset] : cluster.offsets_at(partitions, now + kClockSkew)) {
      if (offset >= end.at(partition)) continue;
      warn("partition " + to_string(partition) + " has a record, at offset " +
           std::to_string(offset) +
           ", whose timestamp is more than a minute ahead of this machine's clock: either that of "
           "its writer or this one is wrong, and event ages, lag and times to live with it");
      return;  // one of a topic is enough
    }
  }

  void check_unclean(const std::string& name, const Properties& config) {
    if (!is(config, "unclean.leader.election.enable", "true")) return;
    warn("topic " + name +
         " allows unclean leader elections, which lose acknowledged records: set "
         "unclean.leader.election.enable=false");
  }

  // The client of one cluster; most jobs have one.
  Admin& admin(const ClientSettings& client) {
    auto& found = admins_[client.brokers];
    if (!found) found = std::make_unique<Admin>(client, commit_.job + ".checks");
    return *found;
  }

  Properties of_topic(const std::string& name) { return of_topic(name, admin(commit_.client)); }
  Properties of_topic(const std::string& name, Admin& cluster) {
    return if_allowed([&] { return cluster.topic_config(name); });
  }
  Properties of_broker() {
    return if_allowed([&] { return admin(commit_.client).broker_config(); });
  }

  template <class Ask>
  Properties if_allowed(Ask ask) {
    try {
      return ask();
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kIo) throw;
      warn(std::string("a configuration cannot be checked: ") + e.what());
      return {};
    }
  }

  void warn(std::string text) { findings_.push_back({Weight::kWarning, std::move(text)}); }
  void fail(std::string text) { findings_.push_back({Weight::kError, std::move(text)}); }

  const CommitSettings& commit_;
  std::map<std::string, std::unique_ptr<Admin>> admins_;
  std::vector<StartFinding> findings_;
};

}  // namespace

std::vector<StartFinding> check_start(const CommitSettings& commit,
                                      const std::vector<SinkSettings>& sinks,
                                      const std::map<std::string, SourceSettings>& sources) {
  Checks checks(commit);
  checks.check_transactions();
  for (const SinkSettings& sink : sinks) checks.check_output(sink);
  for (const auto& [name, source] : sources) checks.check_input(source);
  return checks.take();
}

}  // namespace tidemill::kafka
