// Takes the time of a restore, and puts it into the log however the restore ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "engine/base/clock.h"
#include "engine/checkpoint/checkpoint_log.h"

namespace tidemill {

// One thread. References outlive it.
class RestoreWatch {
 public:
  RestoreWatch(RestoreLog& log, const Clock& clock, std::uint64_t attempt)
      : log_(log), clock_(clock), started_at_(clock.monotonic()), reached_at_(started_at_) {
    run_.attempt = attempt;
    run_.started_ms = clock.processing_time().ms;
    run_.has_failed = true;
  }
  ~RestoreWatch() { finish(); }
  RestoreWatch(const RestoreWatch&) = delete;
  RestoreWatch& operator=(const RestoreWatch&) = delete;

  // What has passed since the last call belongs to this part.
  void reached(std::int64_t RestoreRun::*part) {
    const auto now = clock_.monotonic();
    run_.*part = us(now - reached_at_);
    reached_at_ = now;
  }
  void restores(const std::string& checkpoint) { run_.checkpoint = checkpoint; }
  void succeeded() {
    run_.has_failed = false;
    finish();
  }

 private:
  static std::int64_t us(std::chrono::nanoseconds time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  }
  void finish() {
    if (is_over_) return;
    is_over_ = true;
    run_.duration_us = us(clock_.monotonic() - started_at_);
    log_.add(run_);
  }

  RestoreLog& log_;
  const Clock& clock_;
  const std::chrono::nanoseconds started_at_;
  std::chrono::nanoseconds reached_at_;
  RestoreRun run_;
  bool is_over_ = false;
};

}  // namespace tidemill
