// The latest records that could not be read, a few of each reason: where they came from, and what
// they begin with.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidemill {

struct BadRecord {
  std::string reason;
  std::string origin;  // "TOPIC/P offset N"
  std::string text;    // what it begins with; any bytes
};

// Thread-safe. One of a process, over all its attempts.
class BadSamples {
 public:
  static constexpr std::size_t kMost = 32;  // of a reason
  static constexpr std::size_t kMostReasons = 32;
  static constexpr std::size_t kMostText = 256;
  // Of a flood one in this time is taken.
  static constexpr std::chrono::milliseconds kApart{10};

  // `make()` gives the BadRecord; called only if it is taken. `now`: Clock::monotonic.
  template <class Make>
  void offer(std::chrono::nanoseconds now, std::string_view reason, Make&& make) {
    const std::lock_guard lock(mutex_);
    auto found = reasons_.find(reason);
    if (found == reasons_.end()) {
      if (reasons_.size() == kMostReasons) return;
      found = reasons_.emplace(std::string(reason), Reason{}).first;
    }
    Reason& kept = found->second;
    if (kept.records.size() == kMost) {
      if (now - kept.last < kApart) return;
      kept.records.pop_front();
    }
    kept.last = now;
    kept.records.push_back(make());
  }

  // By reason, the oldest first.
  [[nodiscard]] std::vector<BadRecord> records() const {
    const std::lock_guard lock(mutex_);
    std::vector<BadRecord> all;
    for (const auto& [_, reason] : reasons_)
      all.insert(all.end(), reason.records.begin(), reason.records.end());
    return all;
  }

 private:
  struct Reason {
    std::chrono::nanoseconds last{};
    std::deque<BadRecord> records;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Reason, std::less<>> reasons_;
};

}  // namespace tidemill
