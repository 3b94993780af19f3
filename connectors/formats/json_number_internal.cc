#include "connectors/formats/json_number_internal.h"

#include <array>

namespace tidemill {
namespace {

// Whether a number that is not zero lies below one: digits and exponent may be of any length.
bool is_below_one(std::string_view text) {
  const std::size_t e = text.find_first_of("eE");
  const std::string_view mantissa = text.substr(0, e);
  const std::size_t point = mantissa.find('.');
  const std::size_t first = mantissa.find_first_of("123456789");
  const auto place = [](std::size_t i) { return static_cast<std::int64_t>(i); };
  // The power of ten of the first digit that is not zero.
  const std::int64_t power =
      first < point && point != std::string_view::npos ? place(point) - place(first) - 1
      : point == std::string_view::npos                ? place(mantissa.size()) - place(first) - 1
                                                       : place(point) - place(first);
  if (e == std::string_view::npos) return power < 0;
  std::string_view digits = text.substr(e + 1);
  const bool is_negative = digits[0] == '-';
  if (digits[0] == '+' || digits[0] == '-') digits.remove_prefix(1);
  std::int64_t exponent = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
  if (parsed.ec != std::errc()) return is_negative;
  return power < (is_negative ? exponent : -exponent);
}

}  // namespace

bool is_json_number(std::string_view text) {
  std::size_t i = 0;
  const auto is_digit = [&] { return i < text.size() && is_json_digit(text[i]); };
  const auto skip_digits = [&] {
    if (!is_digit()) return false;
    while (is_digit()) ++i;
    return true;
  };
  if (i < text.size() && text[i] == '-') ++i;
  if (i < text.size() && text[i] == '0') {
    ++i;
  } else if (!skip_digits()) {
    return false;
  }
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (!skip_digits()) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (!skip_digits()) return false;
  }
  return i == text.size();
}

bool read_short_fraction(std::string_view text, double& out) {
  constexpr std::array<double, 16> kPowers = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                              1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  const bool is_negative = !text.empty() && text[0] == '-';
  const std::string_view digits = text.substr(is_negative ? 1 : 0);
  if (digits.empty() || digits.size() >= kPowers.size() || !is_json_digit(digits[0]) ||
      (digits[0] == '0' && digits.size() > 1 && digits[1] != '.')) {
    return false;
  }
  std::int64_t value = 0;
  std::size_t point = digits.size();
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (is_json_digit(digits[i])) {
      value = 10 * value + (digits[i] - '0');
    } else if (digits[i] == '.' && point == digits.size() && i + 1 < digits.size()) {
      point = i;
    } else {
      return false;
    }
  }
  const std::size_t behind = point == digits.size() ? 0 : digits.size() - point - 1;
  out = static_cast<double>(value) / kPowers[behind];
  if (is_negative) out = -out;
  return true;
}

bool read_json_double(std::string_view text, double& out) {
  if (read_short_fraction(text, out)) return true;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  if (parsed.ec == std::errc()) return true;
  out = text[0] == '-' ? -0.0 : 0.0;
  return is_below_one(text);
}

}  // namespace tidemill
