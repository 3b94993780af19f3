// The two clocks a task may read. Deadlines use the monotonic one; only what a user asked to be
// processing time uses wall time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "engine/base/time.h"

namespace tidemill {

// Thread-safe. Outlives everything it is lent to.
class Clock {
 public:
  virtual ~Clock() = default;
  // Processing time: wall-clock milliseconds since the epoch in production, scripted time in tests.
  [[nodiscard]] virtual EventTime processing_time() const = 0;
  // Never goes back; its zero is arbitrary.
  [[nodiscard]] virtual std::chrono::nanoseconds monotonic() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] EventTime processing_time() const override {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return {std::chrono::duration_cast<std::chrono::milliseconds>(now).count()};
  }
  [[nodiscard]] std::chrono::nanoseconds monotonic() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
};

// Both clocks are one counter that moves only when told to.
class ManualClock final : public Clock {
 public:
  void advance(Duration by) { now_ms_.fetch_add(by.count(), std::memory_order_relaxed); }
  [[nodiscard]] EventTime processing_time() const override {
    return {now_ms_.load(std::memory_order_relaxed)};
  }
  [[nodiscard]] std::chrono::nanoseconds monotonic() const override {
    return std::chrono::milliseconds(now_ms_.load(std::memory_order_relaxed));
  }

 private:
  std::atomic<std::int64_t> now_ms_{0};
};

}  // namespace tidemill
