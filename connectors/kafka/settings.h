// What a user may say about Kafka, as typed structs, and the librdkafka properties that follow from
// it. Nothing here connects. All functions throw Error(kConfig) naming the setting that is wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/time.h"

namespace tidemill::kafka {

// librdkafka's names and values.
using Properties = std::map<std::string, std::string>;

// A topic and one of its partitions: what positions and `--accept-loss` are keyed by.
using TopicPartition = std::pair<std::string, std::int32_t>;
std::string to_string(const TopicPartition& partition);  // "user-events:3"

// How to reach a cluster. Passwords are never part of a configuration that gets printed: they come
// from a file (one line, its newline is dropped) or from an environment variable.
struct ClientSettings {
  std::string brokers = {};
  Properties properties = {};  // passed through to librdkafka: security.protocol, sasl.mechanism, …
  std::string password_file = {};  // sasl.password
  std::string password_env = {};
  std::string key_password_file = {};  // ssl.key.password
  std::string key_password_env = {};
};

struct ProducerSettings {
  ClientSettings client = {};
  std::string client_id = {};
  std::string transactional_id = {};  // empty: at-least-once, no transactions
  Duration checkpoint_interval = 1s;
  Duration transaction_timeout = 0s;  // 0: see transaction_timeout_of
  Duration call_deadline = 0s;        // one transactional call with all retries; 0: the timeout
  Duration call_grace = 7s;           // how much longer it may take before its producer is given up
};

// A start or stop position of a source, as a user writes it.
struct PositionSpec {
  enum class Kind { kNone, kEarliest, kLatest, kCommitted, kTime, kOffsets };
  Kind kind = Kind::kNone;
  Kind fallback = Kind::kNone;  // kCommitted: for a partition without a committed offset
  EventTime time = {};          // kTime
  std::map<TopicPartition, std::int64_t> offsets = {};  // kOffsets: every partition of the source

  friend bool operator==(const PositionSpec&, const PositionSpec&) = default;
};

// "earliest", "latest", "committed", "committed:earliest", "committed:latest", "TOPIC:P=N,…".
PositionSpec parse_start(std::string_view text);
// "none", "latest", "committed", "TOPIC:P=N,…".
PositionSpec parse_stop(std::string_view text);
// "TOPIC:P[,TOPIC:P…]".
std::set<TopicPartition> parse_partitions(std::string_view text);

struct SourceSettings {
  ClientSettings client = {};
  std::string job = {};                  // names the clients; the default group
  std::vector<std::string> topics = {};  // either these …
  std::string topic_pattern = {};  // … or all topics that match (POSIX extended, whole name) …
  std::set<TopicPartition> partitions = {};  // … or exactly these: no discovery
  PositionSpec start{.kind = PositionSpec::Kind::kEarliest};
  PositionSpec stop = {};
  std::string group = {};  // whose committed offsets `committed` means; empty: the job's name
  bool is_read_committed = true;
  bool expect_contiguous = false;           // a gap in the offsets stops the job
  bool with_headers = false;                // read the records' headers
  std::size_t prefetch_bytes = 256u << 20;  // over all partitions of one reader
  Duration discovery_interval = 60s;
  Duration request_timeout = 30s;             // every blocking question to the brokers
  std::set<TopicPartition> accept_loss = {};  // --accept-loss: go on although records are gone
};

// What becomes of a row that the client refuses, such as one above message.max.bytes. What only the
// broker refuses fails the transaction, whatever is said here.
enum class RefusedPolicy { kFail, kSkip, kDeadLetter };

// The first of these that there is.
struct TopicModel {
  std::string like = {};     // a topic that the new one gets the partitions and own settings of
  std::string as_wide = {};  // a topic that it gets as many partitions and replicas as
  std::optional<std::int32_t> partitions = {};

  [[nodiscard]] bool is_set() const { return partitions || !like.empty() || !as_wide.empty(); }
};

struct SinkSettings {
  std::string topic = {};
  std::vector<std::string> more_topics = {};  // that rows may name
  RefusedPolicy refused = RefusedPolicy::kFail;
  std::string dead_letter_topic = {};  // kDeadLetter
  // How a topic that does not exist is made; nothing of it set: it has to exist.
  TopicModel create = {};
  bool is_wall_clock = false;  // the records' Kafka timestamp: event time, or the time of writing
  std::size_t staging_bytes = 256u << 20;  // what may wait for the next transaction, per subtask
};

// max(30 s, 3 x checkpoint interval + an allowance for the slowest snapshot), or what was set.
Duration transaction_timeout_of(const ProducerSettings& settings);

// After this a request counts as lost and its connection is closed.
Duration socket_timeout_of(const ProducerSettings& settings);

// The properties of each kind of client: our defaults, under them what the user passed through.
// Throws on a property that the protocol owns and on a secret in plain sight.
Properties producer_properties(const ProducerSettings& settings);
Properties consumer_properties(const SourceSettings& settings, std::size_t num_partitions);
// A client for questions and for a few records from known places; it joins no group.
Properties lookup_properties(const ClientSettings& settings, const std::string& client_id,
                             bool is_read_committed);

// True for the properties we set that some supported librdkafka version does not know.
bool is_optional_property(std::string_view name);

}  // namespace tidemill::kafka
