// The last checkpoints of a process and what became of them, for whoever looks.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace tidemill {

struct CheckpointRun {
  enum class Result : std::uint8_t { kCommitted, kDeclined };

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
  Result result = Result::kCommitted;
  std::string reason;  // why it was declined
};

// Thread-safe.
class CheckpointLog {
 public:
  static constexpr std::size_t kMost = 100;

  void add(CheckpointRun run) {
    const std::lock_guard lock(mutex_);
    if (runs_.size() == kMost) runs_.pop_back();
    runs_.push_front(std::move(run));
  }
  // The newest first.
  [[nodiscard]] std::vector<CheckpointRun> runs() const {
    const std::lock_guard lock(mutex_);
    return {runs_.begin(), runs_.end()};
  }

 private:
  mutable std::mutex mutex_;
  std::deque<CheckpointRun> runs_;
};

}  // namespace tidemill
