// Days and minutes of event time in UTC, as Nexmark's queries print them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "engine/base/time.h"

namespace tidemill::nexmark {

inline constexpr Duration kDay{86'400'000};

inline EventTime day_of(EventTime at) { return floor_to(at, kDay); }
// 0..1439
inline std::int64_t minute_of_day(EventTime at) { return (at - day_of(at)).count() / 60'000; }

namespace day {
inline void append_number(std::string& out, std::int64_t number, int width) {
  const std::string digits = std::to_string(number);
  if (digits.size() < static_cast<std::size_t>(width))
    out.append(static_cast<std::size_t>(width) - digits.size(), '0');
  out += digits;
}
}  // namespace day

// YYYY-MM-DD
inline std::string day_text(EventTime at) {
  const std::chrono::year_month_day date{
      std::chrono::sys_days{std::chrono::days{day_of(at).ms / kDay.count()}}};
  std::string out;
  day::append_number(out, static_cast<int>(date.year()), 4);
  out += '-';
  day::append_number(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  day::append_number(out, static_cast<unsigned>(date.day()), 2);
  return out;
}
// HH:mm
inline std::string minute_text(std::int64_t minute_of_day) {
  std::string out;
  day::append_number(out, minute_of_day / 60, 2);
  out += ':';
  day::append_number(out, minute_of_day % 60, 2);
  return out;
}

}  // namespace tidemill::nexmark
