// Numbers of JSON text: RFC 8259 section 6, nothing looser.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace tidemill {

[[nodiscard]] inline bool is_json_digit(char c) { return c >= '0' && c <= '9'; }
[[nodiscard]] bool is_json_number(std::string_view text);

// What a double makes of a number: false if it is too large; too small is zero. Requires
// is_json_number(text).
[[nodiscard]] bool read_json_double(std::string_view text, double& out);

// A whole number that is written as one; false for anything else, be it out of range or no number.
template <class M>
[[nodiscard]] bool read_json_integer(std::string_view text, M& out) {
  constexpr std::size_t kSafeDigits = 18;
  const bool is_negative = std::is_signed_v<M> && !text.empty() && text[0] == '-';
  const std::string_view digits = text.substr(is_negative ? 1 : 0);
  if (digits.empty() || (digits[0] == '0' && digits.size() > 1)) return false;
  if (digits.size() > kSafeDigits) {
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, out);
    return rest == end && error == std::errc();
  }
  M value = 0;
  for (const char c : digits) {
    if (!is_json_digit(c)) return false;
    value = static_cast<M>(value * 10 + static_cast<M>(c - '0'));
  }
  out = is_negative ? static_cast<M>(0 - value) : value;
  return true;
}

// The usual fractions, exactly: at most 15 digits in all and no exponent, so that digits and power
// of ten are doubles and one division rounds once. False for anything else.
[[nodiscard]] bool read_short_fraction(std::string_view text, double& out);

}  // namespace tidemill
