#include "connectors/formats/iso_time.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstring>

namespace tidemill {
namespace {

constexpr std::int64_t kDayMs = 86'400'000;
// The calendar repeats after 400 years; std::chrono's years have 16 bits, so every date is first
// moved into one such era.
constexpr std::int64_t kEraDays = 146'097;
constexpr std::int64_t kEraYears = 400;
constexpr std::chrono::sys_days kEraStart = std::chrono::year{2000} / 1 / 1;
constexpr std::int64_t kEraStartDay = kEraStart.time_since_epoch().count();

constexpr std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  const std::int64_t quotient = a / b;
  return a % b < 0 ? quotient - 1 : quotient;
}

// Reads from the front; every step says whether it found what it wanted.
class TextCursor {
 public:
  explicit TextCursor(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  [[nodiscard]] bool is_done() const { return at_ == end_; }
  [[nodiscard]] char peek() const { return at_ == end_ ? '\0' : *at_; }
  bool take(char wanted) {
    if (at_ == end_ || *at_ != wanted) return false;
    ++at_;
    return true;
  }
  bool take_any(std::string_view wanted) {
    if (at_ == end_ || wanted.find(*at_) == std::string_view::npos) return false;
    ++at_;
    return true;
  }
  bool digits(int count, std::int64_t& value) {
    if (end_ - at_ < count) return false;
    std::int64_t sum = 0;
    for (int i = 0; i < count; ++i) {
      if (!is_digit(at_[i])) return false;
      sum = sum * 10 + (at_[i] - '0');
    }
    at_ += count;
    value = sum;
    return true;
  }
  // At least one digit; those beyond the third do not count.
  bool millisecond_fraction(std::int64_t& ms) {
    if (at_ == end_ || !is_digit(*at_)) return false;
    std::int64_t weight = 100;
    ms = 0;
    for (; at_ != end_ && is_digit(*at_); ++at_, weight /= 10) ms += (*at_ - '0') * weight;
    return true;
  }
  [[nodiscard]] int leading_digits() const {
    int count = 0;
    while (at_ + count != end_ && is_digit(at_[count]) && count < 10) ++count;
    return count;
  }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }

  const char* at_;
  const char* end_;
};

bool take_year(TextCursor& text, std::int64_t& year) {
  const bool is_negative = text.peek() == '-';
  if (!is_negative && text.peek() != '+') return text.digits(4, year);
  text.take_any("+-");
  const int count = text.leading_digits();
  if (count < 4 || count > 9 || !text.digits(count, year)) return false;
  if (is_negative) year = -year;
  return true;
}

struct IsoFields {
  std::int64_t year = 0, month = 0, day = 0;
  std::int64_t hour = 0, minute = 0, second = 0, ms = 0;
  std::int64_t offset_minutes = 0;
};

// What nearly all records hold, 2026-01-01T00:00:00Z or with three digits of fraction, without a
// branch per character.
bool take_common_form(std::string_view text, IsoFields& fields) {
  const bool has_ms = text.size() == 24;
  if (!has_ms && text.size() != 20) return false;
  unsigned wrong = 0;
  const auto digit = [&](std::size_t i) {
    const unsigned value = static_cast<unsigned char>(text[i]) - unsigned{'0'};
    wrong |= static_cast<unsigned>(value > 9);
    return value;
  };
  const auto two = [&](std::size_t i) { return digit(i) * 10 + digit(i + 1); };
  const auto expect = [&](std::size_t i, char c) { wrong |= static_cast<unsigned>(text[i] != c); };
  fields.year = two(0) * 100 + two(2);
  fields.month = two(5);
  fields.day = two(8);
  fields.hour = two(11);
  fields.minute = two(14);
  fields.second = two(17);
  expect(4, '-');
  expect(7, '-');
  expect(10, 'T');
  expect(13, ':');
  expect(16, ':');
  if (has_ms) {
    expect(19, '.');
    fields.ms = digit(20) * 100 + two(21);
  }
  expect(text.size() - 1, 'Z');
  return wrong == 0;
}

// Days since the epoch, or nothing for a date that the calendar does not have.
std::optional<std::int64_t> days_of(std::int64_t year, std::int64_t month, std::int64_t day) {
  const std::int64_t era = floor_divide(year - 2000, kEraYears);
  const std::chrono::year_month_day date{
      std::chrono::year{static_cast<int>(year - era * kEraYears)},
      std::chrono::month{static_cast<unsigned>(month)},
      std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count() + era * kEraDays;
}

bool take_zone(TextCursor& text, std::int64_t& offset_minutes) {
  if (text.take_any("Zz")) return true;
  const bool is_negative = text.peek() == '-';
  if (!text.take_any("+-")) return false;
  std::int64_t hours = 0;
  std::int64_t minutes = 0;
  if (!text.digits(2, hours)) return false;
  if (!text.is_done()) {
    text.take(':');
    if (!text.digits(2, minutes)) return false;
  }
  if (hours > 23 || minutes > 59) return false;
  offset_minutes = hours * 60 + minutes;
  if (is_negative) offset_minutes = -offset_minutes;
  return true;
}

bool take_any_form(std::string_view text, IsoFields& fields) {
  TextCursor cursor(text);
  if (!take_year(cursor, fields.year) || !cursor.take('-') || !cursor.digits(2, fields.month) ||
      !cursor.take('-') || !cursor.digits(2, fields.day) || !cursor.take_any("Tt ") ||
      !cursor.digits(2, fields.hour) || !cursor.take(':') || !cursor.digits(2, fields.minute)) {
    return false;
  }
  if (cursor.take(':')) {
    if (!cursor.digits(2, fields.second)) return false;
    if (cursor.take_any(".,") && !cursor.millisecond_fraction(fields.ms)) return false;
  }
  return take_zone(cursor, fields.offset_minutes) && cursor.is_done();
}

constexpr auto kTwoDigits = [] {
  std::array<char, 200> table{};
  for (std::size_t i = 0; i < 100; ++i) {
    table[2 * i] = static_cast<char>('0' + i / 10);
    table[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return table;
}();

char* write_two(char* out, std::uint32_t value) {
  std::memcpy(out, &kTwoDigits[2 * value], 2);
  return out + 2;
}

char* write_year(char* out, std::int64_t year) {
  if (year >= 0 && year <= 9999) {
    out = write_two(out, static_cast<std::uint32_t>(year / 100));
    return write_two(out, static_cast<std::uint32_t>(year % 100));
  }
  *out++ = year < 0 ? '-' : '+';
  std::uint64_t rest = static_cast<std::uint64_t>(year < 0 ? -year : year);
  char digits[20];
  int count = 0;
  while (rest != 0 || count < 4) {
    digits[count++] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  }
  while (count > 0) *out++ = digits[--count];
  return out;
}

struct WrittenDate {
  std::int64_t days = 0;
  std::size_t size = 0;
  std::array<char, 16> text{};
};

WrittenDate write_date(std::int64_t days) {
  const std::int64_t era = floor_divide(days - kEraStartDay, kEraDays);
  const std::chrono::year_month_day date(
      std::chrono::sys_days(std::chrono::days(days - era * kEraDays)));
  WrittenDate written{days};
  char* out = write_year(written.text.data(), int{date.year()} + era * kEraYears);
  *out++ = '-';
  out = write_two(out, unsigned{date.month()});
  *out++ = '-';
  out = write_two(out, unsigned{date.day()});
  written.size = static_cast<std::size_t>(out - written.text.data());
  return written;
}

}  // namespace

std::optional<EventTime> parse_iso_time(std::string_view text) {
  IsoFields fields;
  if (!take_common_form(text, fields)) {
    fields = {};
    if (!take_any_form(text, fields)) return std::nullopt;
  }
  if (fields.hour > 23 || fields.minute > 59 || fields.second > 59) return std::nullopt;
  const std::optional<std::int64_t> days = days_of(fields.year, fields.month, fields.day);
  if (!days) return std::nullopt;

  const std::int64_t minutes = fields.hour * 60 + fields.minute - fields.offset_minutes;
  EventTime time;
  // The first and the last day of the range overflow in the product and are refused: nobody misses
  // them.
  if (__builtin_mul_overflow(*days, kDayMs, &time.ms) ||
      __builtin_add_overflow(time.ms, (minutes * 60 + fields.second) * 1000 + fields.ms,
                             &time.ms) ||
      !time.is_finite()) {
    return std::nullopt;
  }
  return time;
}

std::optional<EventTime> parse_given_time(const std::string& text) {
  if (const auto time = parse_iso_time(text)) return time;
  if (const auto day = parse_iso_time(text + "T00:00:00Z")) return day;
  std::int64_t ms = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, ms);
  if (error != std::errc() || at != end || text.empty()) return std::nullopt;
  return EventTime{ms};
}

char* write_iso_time(EventTime time, char* out) {
  const std::int64_t days = floor_divide(time.ms, kDayMs);
  const auto in_day =
      static_cast<std::uint32_t>(time.ms % kDayMs + (time.ms % kDayMs < 0 ? kDayMs : 0));
  // Times that are written one after the other are mostly of the same day.
  thread_local WrittenDate date;
  if (date.size == 0 || date.days != days) date = write_date(days);
  std::memcpy(out, date.text.data(), date.text.size());
  out += date.size;
  *out++ = 'T';
  out = write_two(out, in_day / 3'600'000);
  *out++ = ':';
  out = write_two(out, in_day / 60'000 % 60);
  *out++ = ':';
  out = write_two(out, in_day / 1000 % 60);
  *out++ = '.';
  const std::uint32_t ms = in_day % 1000;
  *out++ = static_cast<char>('0' + ms / 100);
  out = write_two(out, ms % 100);
  *out++ = 'Z';
  return out;
}

void append_iso_time(std::string& out, EventTime time) {
  char text[kMaxIsoTimeSize];
  out.append(text, write_iso_time(time, text));
}

}  // namespace tidemill
