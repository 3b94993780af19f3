// The latest late records of an operator, a few of them: who sends them, and how late they are.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/time.h"

namespace tidemill {

struct LateRecord {
  EventTime time;
  EventTime watermark;  // that it was behind
  std::string key;      // empty: not known
  std::string origin;   // where a source read it; empty: not known
};

// Any number of threads may read; one offers.
class LateSample {
 public:
  static constexpr std::size_t kMost = 32;
  // A flood costs a look at the clock for each record: that many a second are taken, no more.
  static constexpr std::chrono::milliseconds kApart{10};

  // `make()` gives the LateRecord; called only if it is taken. `now`: Clock::monotonic.
  template <class Make>
  void offer(std::chrono::nanoseconds now, Make&& make) {
    if (taken_ >= kMost && now - last_ < kApart) return;
    LateRecord record = make();
    last_ = now;
    ++taken_;
    const std::lock_guard lock(mutex_);
    if (records_.size() == kMost) records_.pop_front();
    records_.push_back(std::move(record));
  }

  // The oldest first.
  [[nodiscard]] std::vector<LateRecord> records() const {
    const std::lock_guard lock(mutex_);
    return {records_.begin(), records_.end()};
  }

 private:
  std::size_t taken_ = 0;
  std::chrono::nanoseconds last_{};
  mutable std::mutex mutex_;
  std::deque<LateRecord> records_;
};

}  // namespace tidemill
