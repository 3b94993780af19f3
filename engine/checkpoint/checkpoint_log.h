// The last checkpoints and restores of a process and what became of them, for whoever looks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace tidemill {

struct CheckpointRun {
  enum class Result : std::uint8_t { kCommitted, kDeclined };
  // What a task gave, named after its first operator; times since the trigger.
  struct Part {
    std::string operator_name;
    int subtask = 0;
    std::int64_t aligned_us = 0;       // the barrier had come on every input
    std::int64_t acknowledged_us = 0;  // what it had frozen was given
  };
  static constexpr std::size_t kMostParts = 32;

  std::string id;
  std::uint64_t seq = 0;
  std::int64_t triggered_ms = 0;  // epoch
  std::int64_t duration_us = 0;   // trigger to the end
  // Its parts: until the barrier had come to every task; until every task had given what it had
  // frozen; until that was durable; until it counted.
  std::int64_t align_us = 0;
  std::int64_t drain_us = 0;
  std::int64_t store_us = 0;
  std::int64_t commit_us = 0;
  std::int64_t stall_us = 0;  // the longest for which the barrier held a task up
  std::uint64_t bytes = 0;    // of the state's files
  // The task that was the last to give its part, named after its first operator.
  std::string slowest;
  int slowest_subtask = 0;
  std::vector<Part> parts;  // in the order in which they came; of many the last ones
  Result result = Result::kCommitted;
  std::string reason;  // why it was declined
};

// How an attempt came to its state.
struct RestoreRun {
  std::string checkpoint;  // empty: there was none
  std::uint64_t attempt = 0;
  std::int64_t started_ms = 0;  // epoch
  std::int64_t duration_us = 0;
  // Its parts: until no other process of the job could commit and the commit record was read; until
  // the state was loaded; until what had been prepared was published; until the operators had it.
  std::int64_t fence_us = 0;
  std::int64_t load_us = 0;
  std::int64_t publish_us = 0;
  std::int64_t build_us = 0;
  bool has_failed = false;  // the failures of the supervisor say why
};

// The last ones, and how many there have been. Thread-safe.
template <class Run>
class RunLog {
 public:
  static constexpr std::size_t kMost = 100;

  void add(Run run) {
    const std::lock_guard lock(mutex_);
    if (runs_.size() == kMost) runs_.pop_back();
    runs_.push_front(std::move(run));
    ++added_;
  }
  // The newest first.
  [[nodiscard]] std::vector<Run> runs() const {
    const std::lock_guard lock(mutex_);
    return {runs_.begin(), runs_.end()};
  }
  // Those behind the first `seen`, the oldest first, as far as they are kept, and how many there
  // have been in all.
  [[nodiscard]] std::pair<std::vector<Run>, std::uint64_t> runs_after(std::uint64_t seen) const {
    const std::lock_guard lock(mutex_);
    const auto fresh = std::min<std::uint64_t>(added_ - seen, runs_.size());
    const auto end = std::make_reverse_iterator(runs_.begin());
    return {{end - static_cast<std::ptrdiff_t>(fresh), end}, added_};
  }

 private:
  mutable std::mutex mutex_;
  std::deque<Run> runs_;
  std::uint64_t added_ = 0;
};

using CheckpointLog = RunLog<CheckpointRun>;
using RestoreLog = RunLog<RestoreRun>;

}  // namespace tidemill
