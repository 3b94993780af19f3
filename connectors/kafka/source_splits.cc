#include "connectors/kafka/source_splits.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <regex.h>
#include <utility>

#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "engine/checkpoint/refusal.h"

namespace tidemill::kafka {
namespace {

constexpr Duration kSeldom = 10s;  // between looks for partitions: a client for each is no burden

using Kind = PositionSpec::Kind;
using Offsets = std::map<TopicPartition, std::int64_t>;

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::kRefused, message); }
[[noreturn]] void refuse(Refusal refusal, const std::string& message) {
  throw RefusedStart(std::move(refusal), message);
}

// Rows G and T: another log than the one that was read.
Refusal another_log(const char* id, const char* row) {
  return {id, row,  "bring the log back that was read, or set the cluster and topic that are meant",
          {}, true, true};
}

// A POSIX extended regular expression that must match a whole name.
class Pattern {
 public:
  explicit Pattern(const std::string& text) {
    const int error = regcomp(&compiled_, ("^(" + text + ")$").c_str(), REG_EXTENDED | REG_NOSUB);
    if (error == 0) return;
    std::array<char, 256> why{};
    regerror(error, &compiled_, why.data(), why.size());
    throw Error(ErrorCode::kConfig,
                "the topic pattern is no regular expression: " + text + ": " + why.data());
  }
  ~Pattern() { regfree(&compiled_); }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  [[nodiscard]] bool matches(const std::string& name) const {
    return regexec(&compiled_, name.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t compiled_{};
};

TopicPartition partition_named(const std::string& split) {
  const std::set<TopicPartition> parsed = parse_partitions(split);
  if (parsed.size() != 1) refuse("the checkpoint names no Kafka partition: " + split);
  return *parsed.begin();
}

// Row F, of all partitions at once.
class LostRecords {
 public:
  void add(const std::string& what, const std::string& partition, std::int64_t count) {
    text_ += (text_.empty() ? "" : "; ") + what;
    partitions_ += (partitions_.empty() ? "" : ",") + partition;
    count_ += count;
  }
  void refuse_if_any() const {
    if (text_.empty()) return;
    refuse({"input_lost",
            "F",
            "records that are gone cannot be brought back; a longer retention keeps the next ones",
            {{{"--accept-loss=" + partitions_},
              "goes on behind " + std::to_string(count_) +
                  " offsets that are gone, which never take effect; nothing is repeated"}}},
           text_ + "; to go on without them: --accept-loss " + partitions_);
  }

 private:
  std::string text_;
  std::string partitions_;
  std::int64_t count_ = 0;
};

// A missing place is an error of whoever wrote the position.
std::int64_t at(const Offsets& offsets, const TopicPartition& partition, const char* what) {
  const auto found = offsets.find(partition);
  if (found == offsets.end()) {
    throw Error(ErrorCode::kConfig, std::string("a ") + what +
                                        " position is missing for a partition of the source: " +
                                        to_string(partition) + "; name every partition");
  }
  return found->second;
}

std::string name_of(Kind kind) {
  switch (kind) {
    case Kind::kNone: return "none";
    case Kind::kEarliest: return "earliest";
    case Kind::kLatest: return "latest";
    case Kind::kCommitted: return "committed";
    case Kind::kTime: return "time";
    case Kind::kOffsets: return "offsets";
  }
  return "";
}

}  // namespace

std::string to_string(const PositionSpec& spec) {
  std::string text = name_of(spec.kind);
  if (spec.fallback != Kind::kNone) text += ":" + name_of(spec.fallback);
  if (spec.kind == Kind::kTime) text += " " + std::to_string(spec.time.ms);
  for (const auto& [partition, offset] : spec.offsets) {
    text += " " + to_string(partition) + "=" + std::to_string(offset);
  }
  return text;
}

SourceSplits::SourceSplits(const SourceSettings& settings, const RestoredSource& restored,
                           const Audit& audit)
    : settings_(settings) {
  const std::vector<TopicPartition> partitions = find_partitions();
  if (restored.positions.empty()) {
    start_first(partitions);
  } else {
    start_restored(partitions, restored);
  }
  settle_stops(partitions, restored);
  check_ranges(audit);
  check_tails(restored.positions);
  admin_.reset();
  for (const SourceSplit& split : splits_) known_.insert(split.partition);
  size_ = splits_.size();
  // A bounded run ends in the partitions it began with.
  if (settings.stop.kind == Kind::kNone && settings.partitions.empty() &&
      settings.discovery_interval > 0s) {
    discovery_ = std::thread([this] { discover(); });
  }
}

SourceSplits::~SourceSplits() {
  {
    const std::lock_guard lock(mutex_);
    must_stop_ = true;
  }
  must_stop_changed_.notify_all();
  if (discovery_.joinable()) discovery_.join();
}

Admin& SourceSplits::admin() {
  if (!admin_) {
    admin_ = std::make_unique<Admin>(settings_.client, settings_.job + ".splits",
                                     settings_.request_timeout);
  }
  return *admin_;
}

SourceSplit SourceSplits::split(std::size_t i) const {
  const std::lock_guard lock(mutex_);
  return splits_[i];
}

void SourceSplits::check() const {
  if (!has_failed_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(mutex_);
  throw Error(*failure_);
}

std::vector<TopicInfo> SourceSplits::find_topics() {
  std::vector<TopicInfo> found;
  if (!settings_.topic_pattern.empty()) {
    const Pattern pattern(settings_.topic_pattern);
    for (TopicInfo& topic : admin().topics()) {
      if (pattern.matches(topic.name)) found.push_back(std::move(topic));
    }
    if (found.empty() && known_.empty()) {  // otherwise what was known is missing
      throw Error(ErrorCode::kConfig,
                  "no input topic matches the pattern: " + settings_.topic_pattern);
    }
    return found;
  }
  std::vector<std::string> names = settings_.topics;
  for (const auto& [topic, partition] : settings_.partitions) {
    if (std::find(names.begin(), names.end(), topic) == names.end()) names.push_back(topic);
  }
  if (names.empty()) {
    throw Error(ErrorCode::kConfig, "a Kafka source has no topic: set `topic`");
  }
  for (const std::string& name : names) {
    const auto topic = admin().topic(name);
    // Row I at start-up.
    if (!topic)
      refuse({"input_topic_missing", "I", "bring the topic back, or set the one that is meant"},
             "the input topic " + name +
                 " does not exist in this cluster; create it or bring it back, or set "
                 "the topic that is meant");
    found.push_back(*topic);
  }
  return found;
}

std::vector<TopicPartition> SourceSplits::find_partitions() {
  std::vector<TopicPartition> partitions;
  for (const TopicInfo& topic : find_topics()) {
    for (std::int32_t p = 0; p < topic.num_partitions; ++p) {
      if (settings_.partitions.empty() || settings_.partitions.count({topic.name, p}) > 0) {
        partitions.emplace_back(topic.name, p);
      }
    }
  }
  for (const TopicPartition& wanted : settings_.partitions) {
    if (std::find(partitions.begin(), partitions.end(), wanted) == partitions.end()) {
      refuse({"input_partition_missing", "I", "bring the partition back, or set others"},
             "the input partition " + to_string(wanted) +
                 " does not exist in this cluster; bring it back, or name others");
    }
  }
  return partitions;
}

void SourceSplits::start_first(const std::vector<TopicPartition>& partitions) {
  const Offsets starts = resolve(settings_.start, "start", partitions);
  for (const TopicPartition& partition : partitions) {
    splits_.push_back({.partition = partition, .start = at(starts, partition, "start")});
  }
}

// Row C: every partition that the checkpoint knew goes on where it stood; only partitions with
// higher numbers than all it knew are new (row H).
void SourceSplits::start_restored(const std::vector<TopicPartition>& partitions,
                                  const RestoredSource& restored) {
  Offsets positions;
  std::map<std::string, std::int32_t> counts;  // topic -> partitions the checkpoint knew
  for (const SplitPosition& position : restored.positions) {
    const TopicPartition partition = partition_named(position.split);
    positions[partition] = position.offset;
    std::int32_t& count = counts[partition.first];
    count = std::max(count, partition.second + 1);
    if (std::find(partitions.begin(), partitions.end(), partition) == partitions.end()) {
      refuse(
          {"input_partition_missing", "C", "bring the partition back", {}, true, true},
          "partition " + position.split + " was read up to offset " +
              std::to_string(position.offset) +
              " and is no longer among the source's: the topic was deleted or made smaller, or the "
              "source's settings changed; bring it back, or start anew with --restore none "
              "--accept-duplicates");
    }
  }
  std::vector<TopicPartition> added;
  for (const TopicPartition& partition : partitions) {
    const auto position = positions.find(partition);
    if (position != positions.end()) {
      splits_.push_back({.partition = partition, .start = position->second});
    } else if (settings_.partitions.count(partition) == 0 &&
               partition.second < counts[partition.first]) {
      refuse({"position_missing", "C", "set the source that the checkpoint is of", {}, true, true},
             "the checkpoint has no position for partition " + to_string(partition) +
                 ", although it knows partitions with higher numbers: it was edited or belongs to "
                 "another source; go on from one that fits with --restore ID --accept-duplicates");
    } else {
      added.push_back(partition);
    }
  }
  // A bounded run ends in the partitions it began with.
  if (has_stop_of(restored)) added.clear();
  for (const auto& [partition, offset] : admin().offsets(added, LogPoint::kStart)) {
    log(LogLevel::kInfo, "kafka: partition " + to_string(partition) +
                             " is new since the checkpoint: read from its earliest record, " +
                             std::to_string(offset));
    splits_.push_back({.partition = partition, .start = offset});
  }
}

Offsets SourceSplits::resolve(const PositionSpec& spec, const char* what,
                              const std::vector<TopicPartition>& partitions) {
  switch (spec.kind) {
    case Kind::kEarliest: return admin().offsets(partitions, LogPoint::kStart);
    case Kind::kLatest: return admin().offsets(partitions, LogPoint::kLastStable);
    case Kind::kTime: return admin().offsets_at(partitions, spec.time);
    case Kind::kCommitted: return committed(spec, partitions);
    case Kind::kOffsets: return spec.offsets;
    case Kind::kNone: break;
  }
  throw Error(ErrorCode::kConfig, std::string("a Kafka source has no ") + what + " position");
}

Offsets SourceSplits::committed(const PositionSpec& spec,
                                const std::vector<TopicPartition>& partitions) {
  const std::string& group = settings_.group.empty() ? settings_.job : settings_.group;
  Offsets offsets;
  for (const auto& [partition, found] : admin().group_offsets(group, partitions)) {
    offsets[partition] = found.offset;
  }
  std::vector<TopicPartition> missing;
  for (const TopicPartition& partition : partitions) {
    if (offsets.count(partition) == 0) missing.push_back(partition);
  }
  if (missing.empty()) return offsets;
  if (spec.fallback == Kind::kNone) {
    refuse({"group_without_offset", "", "start at committed:earliest or committed:latest"},
           "group " + group + " has no committed offset for partition " +
               to_string(missing.front()) +
               ": it never committed there, or the offset has expired; say where such partitions "
               "start: committed:earliest or committed:latest");
  }
  offsets.merge(resolve({.kind = spec.fallback}, "start", missing));
  return offsets;
}

bool SourceSplits::has_stop_of(const RestoredSource& restored) const {
  return settings_.stop.kind != Kind::kNone && restored.stop_spec == to_string(settings_.stop);
}

void SourceSplits::settle_stops(const std::vector<TopicPartition>& partitions,
                                const RestoredSource& restored) {
  if (settings_.stop.kind == Kind::kNone) return;
  // `latest` and the like are settled once: the end does not move when the job restarts.
  const Offsets stops =
      has_stop_of(restored) ? restored.stops : resolve(settings_.stop, "stop", partitions);
  for (SourceSplit& split : splits_) split.stop = at(stops, split.partition, "stop");
}

// Rows F and T: the position must lie within the log.
void SourceSplits::check_ranges(const Audit& audit) {
  std::vector<TopicPartition> partitions;
  for (const SourceSplit& split : splits_) partitions.push_back(split.partition);
  const Offsets starts = admin().offsets(partitions, LogPoint::kStart);
  const Offsets ends = admin().offsets(partitions, LogPoint::kHighWatermark);
  LostRecords lost_records;
  for (SourceSplit& split : splits_) {
    const std::string name = to_string(split.partition);
    const std::int64_t low = starts.at(split.partition);
    const std::int64_t high = ends.at(split.partition);
    if (split.start > high) {
      refuse(
          another_log("input_truncated", "T"),
          "partition " + name + " ends at " + std::to_string(high) + ", before the position " +
              std::to_string(split.start) +
              ": the log was truncated, the topic made anew, or this is another cluster; check the "
              "topic, then start from a checkpoint that fits with --restore ID "
              "--accept-duplicates");
    }
    if (split.start >= low || split.start >= split.stop) continue;
    const std::string lost = "partition " + name + " lost offsets " + std::to_string(split.start) +
                             ".." + std::to_string(low - 1) +
                             " before they were read (retention, or somebody deleted records)";
    if (settings_.accept_loss.count(split.partition) == 0) {
      lost_records.add(lost, name, low - split.start);
      continue;
    }
    log(LogLevel::kWarn, "kafka: " + lost + ": accepted by --accept-loss");
    audit(lost + ": accepted by --accept-loss " + name);
    split.start = low;
  }
  lost_records.refuse_if_any();
}

// Rows G and T: a log that was made anew and has grown past the position looks right, but its
// records are others.
void SourceSplits::check_tails(const std::vector<SplitPosition>& positions) {
  Offsets places;
  std::map<TopicPartition, const SplitPosition*> expected;
  for (const SplitPosition& position : positions) {
    if (position.tail_offset < 0) continue;
    const TopicPartition partition = partition_named(position.split);
    places[partition] = position.tail_offset;
    expected[partition] = &position;
  }
  std::vector<TopicPartition> without;
  const auto records = admin().records_at(places);
  for (const auto& [partition, place] : places) {
    if (records.count(partition) == 0) without.push_back(partition);
  }
  check_missing_tails(without, places);
  for (const auto& [partition, record] : records) {
    const SplitPosition& position = *expected.at(partition);
    if (record.timestamp_ms == position.tail_timestamp &&
        hash_bytes(record.value) == position.tail_hash) {
      continue;
    }
    refuse(
        another_log("input_made_anew", "G"),
        "partition " + to_string(partition) + " has another record at offset " +
            std::to_string(record.offset) +
            " than the one that was read: the topic was made anew or its log truncated; check the "
            "topic, then start anew with --restore none --accept-duplicates");
  }
}

// A committed record that was read stays where it is until retention or compaction takes it. A
// marker, an aborted record or an open transaction in its place belongs to another log.
void SourceSplits::check_missing_tails(const std::vector<TopicPartition>& partitions,
                                       const Offsets& places) {
  if (partitions.empty() || !settings_.is_read_committed) return;
  // Asked after the records were looked for, so that retention meanwhile is no accusation.
  for (const auto& [partition, start] : admin().offsets(partitions, LogPoint::kStart)) {
    if (places.at(partition) < start || may_be_compacted(partition.first)) continue;
    refuse(another_log("input_made_anew", "G"),
           "partition " + to_string(partition) + " has no record at offset " +
               std::to_string(places.at(partition)) +
               ", where the last one read was: the topic was made anew or its log truncated; check "
               "the "
               "topic, then start anew with --restore none --accept-duplicates");
  }
}

bool SourceSplits::may_be_compacted(const std::string& topic) {
  try {
    return admin().topic_config(topic)["cleanup.policy"].find("compact") != std::string::npos;
  } catch (const Error& e) {
    log(LogLevel::kWarn,
        "kafka: whether topic " + topic + " was made anew cannot be told for certain: " + e.what());
    return true;
  }
}

void SourceSplits::discover() {
  std::unique_lock lock(mutex_);
  while (!must_stop_changed_.wait_for(lock, settings_.discovery_interval,
                                      [this] { return must_stop_; })) {
    lock.unlock();
    std::optional<Error> failure;
    try {
      look_for_partitions();
    } catch (const Error& e) {
      // The settings have worked: a client that cannot be made now, of files or threads that are
      // not to be had, can be made later.
      if (is_restartable(e.code()) || e.code() == ErrorCode::kConfig) {
        log(LogLevel::kWarn, std::string("kafka: looking for new partitions failed: ") + e.what());
      } else {
        failure = e;
      }
    }
    if (settings_.discovery_interval >= kSeldom) admin_.reset();
    lock.lock();
    if (failure) {
      failure_ = failure;
      has_failed_.store(true, std::memory_order_release);
      return;
    }
  }
}

void SourceSplits::look_for_partitions() {
  std::vector<TopicPartition> added;
  const std::vector<TopicPartition> partitions = find_partitions();
  for (const TopicPartition& partition : partitions) {
    if (known_.count(partition) == 0) added.push_back(partition);
  }
  for (const TopicPartition& partition : known_) {
    if (std::find(partitions.begin(), partitions.end(), partition) == partitions.end()) {
      refuse({"input_partition_missing", "I", "bring the partition back"},
             "partition " + to_string(partition) +
                 " does not exist any more: the topic was deleted while it was read");
    }
  }
  if (added.empty()) return;
  const Offsets starts = admin().offsets(added, LogPoint::kStart);
  const std::lock_guard lock(mutex_);
  for (const TopicPartition& partition : added) {
    log(LogLevel::kWarn,
        "kafka: a new partition is read from its earliest record: " + to_string(partition) +
            "; keys may have moved to it from other partitions");
    known_.insert(partition);
    splits_.push_back({.partition = partition, .start = starts.at(partition)});
  }
  size_.store(splits_.size(), std::memory_order_release);
}

}  // namespace tidemill::kafka
