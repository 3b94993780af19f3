// How many rows a server may refuse before the job stops.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace tidemill {

struct RedisErrorLimits {
  std::uint32_t errors_per_minute = 0;  // tolerated in any case
  double error_share = 0;  // and besides up to this share of the rows: 0.01 is one in a hundred
};

// Counts over the current minute and the one before it.
class RedisErrorBudget {
 public:
  explicit RedisErrorBudget(RedisErrorLimits limits) : limits_(limits) {}

  void count_row(std::chrono::nanoseconds now) { ++minute(now).rows; }
  // False if this one was too many.
  [[nodiscard]] bool count_error(std::chrono::nanoseconds now) {
    ++minute(now).errors;
    const std::uint64_t errors = minutes_[0].errors + minutes_[1].errors;
    const std::uint64_t rows = minutes_[0].rows + minutes_[1].rows;
    return errors <= limits_.errors_per_minute ||
           static_cast<double>(errors) <= limits_.error_share * static_cast<double>(rows);
  }

 private:
  struct Minute {
    std::int64_t index = 0;
    std::uint64_t rows = 0;
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

  const RedisErrorLimits limits_;
  std::array<Minute, 2> minutes_{};
};

}  // namespace tidemill
