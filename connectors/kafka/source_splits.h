// Which partitions a source reads and from where to where: settled once per attempt, before the
// first record, by the rows of the failure table (docs/exactly-once.md 4.3: C, F, G, H, I, T); then
// partitions that appear later are added at their earliest record.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "connectors/kafka/admin.h"
#include "connectors/kafka/consumer.h"
#include "connectors/kafka/settings.h"
#include "engine/base/error.h"
#include "engine/operator/snapshot.h"

namespace tidemill::kafka {

struct SourceSplit {
  TopicPartition partition;
  std::int64_t start = 0;
  std::int64_t stop = kNoStop;
};

// What a checkpoint says about a source.
struct RestoredSource {
  std::vector<SplitPosition> positions = {};          // empty: a first start
  std::map<TopicPartition, std::int64_t> stops = {};  // where a bounded run was to end …
  std::string stop_spec = {};                         // … and what it was told
};

// "earliest", "committed:latest", "t:0=5,…": equal exactly for equal specifications.
std::string to_string(const PositionSpec& spec);

// Thread-safe after construction; shared by the readers of one attempt.
class SourceSplits {
 public:
  // Whoever accepted a loss gets to read what was lost.
  using Audit = std::function<void(const std::string& text)>;

  // Asks the brokers; throws Error(kRefused) or Error(kConfig) with what was found, what it means
  // and how to go on.
  SourceSplits(const SourceSettings& settings, const RestoredSource& restored, const Audit& audit);
  ~SourceSplits();
  SourceSplits(const SourceSplits&) = delete;
  SourceSplits& operator=(const SourceSplits&) = delete;

  // How many there are; grows.
  [[nodiscard]] std::size_t size() const { return size_.load(std::memory_order_acquire); }
  [[nodiscard]] SourceSplit split(std::size_t i) const;
  // Throws what discovery found out: a topic is gone (row I).
  void check() const;

 private:
  Admin& admin();
  std::vector<TopicInfo> find_topics();
  std::vector<TopicPartition> find_partitions();
  void start_first(const std::vector<TopicPartition>& partitions);
  void start_restored(const std::vector<TopicPartition>& partitions,
                      const RestoredSource& restored);
  std::map<TopicPartition, std::int64_t> resolve(const PositionSpec& spec, const char* what,
                                                 const std::vector<TopicPartition>& partitions);
  std::map<TopicPartition, std::int64_t> committed(const PositionSpec& spec,
                                                   const std::vector<TopicPartition>& partitions);
  // It was to end where this run is to end.
  [[nodiscard]] bool has_stop_of(const RestoredSource& restored) const;
  void settle_stops(const std::vector<TopicPartition>& partitions, const RestoredSource& restored);
  void check_ranges(const Audit& audit);
  void check_tails(const std::vector<SplitPosition>& positions);
  void check_missing_tails(const std::vector<TopicPartition>& partitions,
                           const std::map<TopicPartition, std::int64_t>& places);
  [[nodiscard]] bool may_be_compacted(const std::string& topic);
  void discover();
  void look_for_partitions();

  const SourceSettings settings_;
  // The constructor's, then the discovery thread's. Only while there is something to ask: an idle
  // client has four threads and connections.
  std::unique_ptr<Admin> admin_;
  std::set<TopicPartition> known_;

  mutable std::mutex mutex_;
  std::condition_variable must_stop_changed_;
  bool must_stop_ = false;
  std::vector<SourceSplit> splits_;
  std::optional<Error> failure_;
  std::atomic<std::size_t> size_{0};
  std::atomic<bool> has_failed_{false};
  std::thread discovery_;
};

}  // namespace tidemill::kafka
