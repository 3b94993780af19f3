#include "connectors/file/time_buckets_internal.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "engine/base/error.h"

namespace tidemill::file_internal {
namespace {

constexpr std::string_view kFields = "YmdHM";
constexpr const char* kNoTime = "no-time";

[[noreturn]] void refuse(const std::string& why, const std::string& pattern) {
  throw Error(ErrorCode::kConfig, "a bucket of a file sink " + why + ": " + pattern +
                                      "; it is such as day=%Y-%m-%d/%H:%M");
}

void check_folders(const std::string& pattern) {
  for (std::size_t at = 0; at <= pattern.size();) {
    const std::size_t end = std::min(pattern.find('/', at), pattern.size());
    if (end == at) refuse("has a folder without a name", pattern);
    if (pattern[at] == '.') refuse("has a folder with . first", pattern);
    if (pattern.substr(at, end - at).starts_with("partition-"))
      refuse("has a folder that is called as a partition is", pattern);
    at = end + 1;
  }
}

}  // namespace

TimeBuckets::TimeBuckets(const std::string& pattern) : unit_(Duration::zero()) {
  check_folders(pattern);
  std::string text;
  unit_ = Duration(24h);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      text += pattern[i];
      continue;
    }
    const char field = ++i < pattern.size() ? pattern[i] : '\0';
    if (field == '%') {
      text += '%';
      continue;
    }
    if (kFields.find(field) == std::string_view::npos || field == '\0')
      refuse("has something else than Y, m, d, H, M or % behind a %", pattern);
    if (field == 'H') unit_ = std::min(unit_, Duration(1h));
    if (field == 'M') unit_ = std::min(unit_, Duration(1min));
    pieces_.push_back({0, std::exchange(text, {})});
    pieces_.push_back({field, {}});
  }
  if (pieces_.empty()) refuse("has no part of time in it", pattern);
  pieces_.push_back({0, text});
}

const std::string& TimeBuckets::name_of(EventTime at) {
  if (!at.is_finite()) {
    begin_ = EventTime::min();
    name_ = kNoTime;
    return name_;
  }
  const EventTime begin = floor_to(at, unit_);
  if (begin != begin_) {
    begin_ = begin;
    render(begin);
  }
  return name_;
}

void TimeBuckets::render(EventTime begin) {
  const std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds(begin.ms)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  name_.clear();
  for (const Piece& piece : pieces_) {
    char digits[16];
    switch (piece.field) {
      case 'Y': std::snprintf(digits, sizeof digits, "%04d", static_cast<int>(date.year())); break;
      case 'm':
        std::snprintf(digits, sizeof digits, "%02u", static_cast<unsigned>(date.month()));
        break;
      case 'd':
        std::snprintf(digits, sizeof digits, "%02u", static_cast<unsigned>(date.day()));
        break;
      case 'H':
        std::snprintf(digits, sizeof digits, "%02d", static_cast<int>(clock.hours().count()));
        break;
      case 'M':
        std::snprintf(digits, sizeof digits, "%02d", static_cast<int>(clock.minutes().count()));
        break;
      default: name_ += piece.text; continue;
    }
    name_ += digits;
  }
}

}  // namespace tidemill::file_internal
