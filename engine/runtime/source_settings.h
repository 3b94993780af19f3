// What a source is told: by its settings, and by whoever runs the job.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/error_budget.h"
#include "engine/base/time.h"

namespace tidemill {

// Why a record was turned away.
struct Rejection {
  std::string_view reason;  // one word, a literal
  std::string detail;
};

enum class BadDataPolicy { kFail, kSkip, kDeadLetter };

// A token bucket of one second's worth. Thread-safe; asked once a poll.
class RateLimit {
 public:
  explicit RateLimit(double per_second) : per_second_(per_second), tokens_(per_second) {}

  // How many units of `size` tokens may be taken now: none, or at least 1 and at most `most`.
  [[nodiscard]] std::size_t units(std::chrono::nanoseconds now, double size, std::size_t most) {
    const std::lock_guard lock(mutex_);
    const double elapsed = std::chrono::duration<double>(now - last_).count();
    if (last_.count() != 0)
      tokens_ = std::min(per_second_, tokens_ + std::max(0.0, elapsed) * per_second_);
    last_ = now;
    if (tokens_ <= 0) return 0;
    return static_cast<std::size_t>(std::clamp(tokens_ / size, 1.0, static_cast<double>(most)));
  }
  void spend(double tokens) {
    const std::lock_guard lock(mutex_);
    tokens_ -= tokens;
  }

 private:
  const double per_second_;
  std::mutex mutex_;
  double tokens_;
  std::chrono::nanoseconds last_{};
};

struct SourceSettings {
  std::optional<Duration> idle;  // none: a split never becomes idle by itself
  std::optional<Duration>
      lateness;  // set: lateness is judged here, per split; none: operators judge
  std::optional<Duration> max_future_skew;  // against the record's own timestamp
  BadDataPolicy bad_data = BadDataPolicy::kFail;
  std::shared_ptr<SharedErrorBudget> bad_budget;  // of all subtasks; none: any number may be bad
  std::size_t max_poll_records = 1000;
  // Of all subtasks together; none: unlimited.
  std::shared_ptr<RateLimit> records_limit;
  std::shared_ptr<RateLimit> bytes_limit;
};

// Set by whoever runs the job, read by all sources of the process.
struct SourceControl {
  std::atomic<bool> released{false};  // checkpoint 0 is committed: records may flow
  std::atomic<bool> stopped{false};   // a stop was asked for: no more records
  std::atomic<bool> drained{false};   // the input ends here, as that of a bounded source does
};

}  // namespace tidemill
