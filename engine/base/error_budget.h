// How many records or rows may go wrong before the job stops.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace tidemill {

struct ErrorLimits {
  std::uint32_t errors_per_minute = 0;  // tolerated in any case
  double error_share = 0;  // and besides up to this share of all: 0.01 is one in a hundred
};

// Counts over the current minute and the one before it.
class ErrorBudget {
 public:
  explicit ErrorBudget(ErrorLimits limits) : limits_(limits) {}

  void count(std::chrono::nanoseconds now, std::uint64_t all = 1) { minute(now).all += all; }
  // False if this one was too many.
  [[nodiscard]] bool count_error(std::chrono::nanoseconds now) {
    ++minute(now).errors;
    const std::uint64_t errors = minutes_[0].errors + minutes_[1].errors;
    const std::uint64_t all = minutes_[0].all + minutes_[1].all;
    return errors <= limits_.errors_per_minute ||
           static_cast<double>(errors) <= limits_.error_share * static_cast<double>(all);
  }

 private:
  struct Minute {
    std::int64_t index = 0;
    std::uint64_t all = 0;
    std::uint64_t errors = 0;
  };

  Minute& minute(std::chrono::nanoseconds now) {
    const std::int64_t index = now / std::chrono::minutes(1);
    if (index != minutes_[0].index) {
      minutes_[1] = index == minutes_[0].index + 1 ? minutes_[0] : Minute{};
      minutes_[0] = {index, 0, 0};
    }
    return minutes_[0];
  }

  const ErrorLimits limits_;
  std::array<Minute, 2> minutes_{};
};

// One for all subtasks. Thread-safe; not for every record: count them by batch.
class SharedErrorBudget {
 public:
  explicit SharedErrorBudget(ErrorLimits limits) : budget_(limits) {}

  void count(std::chrono::nanoseconds now, std::uint64_t all) {
    const std::lock_guard lock(mutex_);
    budget_.count(now, all);
  }
  [[nodiscard]] bool count_error(std::chrono::nanoseconds now) {
    const std::lock_guard lock(mutex_);
    return budget_.count_error(now);
  }

 private:
  std::mutex mutex_;
  ErrorBudget budget_;
};

}  // namespace tidemill
