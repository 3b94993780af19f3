// Event time and durations. Event time is milliseconds since the Unix epoch, UTC, with two
// infinities; every operation saturates, so that no window or timer near an infinity can wrap
// around (docs/semantics.md 1).
#pragma once

#include <algorithm>
#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>

namespace tidemill {

using namespace std::chrono_literals;  // 10s, 5min, 24h: the units of every public setting

using Duration = std::chrono::milliseconds;

// An instant of event time. kMin and kMax stand for -infinity and +infinity: adding to them changes
// nothing.
struct EventTime {
  std::int64_t ms = 0;

  static constexpr EventTime min() { return {std::numeric_limits<std::int64_t>::min()}; }
  static constexpr EventTime max() { return {std::numeric_limits<std::int64_t>::max()}; }

  [[nodiscard]] constexpr bool is_finite() const { return *this != min() && *this != max(); }

  friend constexpr auto operator<=>(EventTime, EventTime) = default;

  friend constexpr EventTime operator+(EventTime t, Duration d) {
    if (!t.is_finite()) return t;
    std::int64_t sum = 0;
    if (__builtin_add_overflow(t.ms, static_cast<std::int64_t>(d.count()), &sum))
      return d.count() > 0 ? max() : min();
    return {sum};
  }
  friend constexpr EventTime operator-(EventTime t, Duration d) {
    if (!t.is_finite()) return t;
    std::int64_t difference = 0;
    if (__builtin_sub_overflow(t.ms, static_cast<std::int64_t>(d.count()), &difference))
      return d.count() < 0 ? max() : min();
    return {difference};
  }
  // Saturates at the largest Duration; requires both sides finite for a meaningful answer.
  friend constexpr Duration operator-(EventTime a, EventTime b) {
    std::int64_t difference = 0;
    if (__builtin_sub_overflow(a.ms, b.ms, &difference)) {
      return a > b ? Duration::max() : Duration::min();
    }
    return Duration(difference);
  }
};

// The largest multiple of `step` (plus `offset`) that is <= t; counts downwards below the epoch
// too. Requires: step > 0.
constexpr EventTime floor_to(EventTime t, Duration step, Duration offset = Duration::zero()) {
  if (!t.is_finite()) return t;
  const std::int64_t s = step.count();
  std::int64_t shifted = 0;
  if (__builtin_sub_overflow(t.ms, static_cast<std::int64_t>(offset.count()) % s, &shifted))
    return EventTime::min();
  std::int64_t remainder = shifted % s;
  if (remainder < 0) remainder += s;
  return t - Duration(remainder);
}

// The smallest multiple of `step` (plus `offset`) that is >= t. Requires: step > 0.
constexpr EventTime ceil_to(EventTime t, Duration step, Duration offset = Duration::zero()) {
  const EventTime floor = floor_to(t, step, offset);
  return floor == t ? t : floor + step;
}

}  // namespace tidemill
