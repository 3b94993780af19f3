#include "service/scenario/value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include <boost/container_hash/hash.hpp>

namespace tidemill::scenario {
namespace {

constexpr std::size_t kDecimals = 6;
constexpr std::size_t kDigits = 15;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_number(std::string_view text) {
  if (!text.empty() && text.front() == '-') text.remove_prefix(1);
  const auto whole = std::ranges::find_if_not(text, is_digit);
  if (whole == text.begin()) return false;
  if (whole == text.end()) return true;
  const std::string_view rest = text.substr(static_cast<std::size_t>(whole - text.begin()));
  return rest.size() > 1 && rest.front() == '.' && std::ranges::all_of(rest.substr(1), is_digit);
}

// Adds one to the last digit. Whether that took a further digit.
bool increment(std::string& digits) {
  const auto last_below_nine = std::find_if(digits.rbegin(), digits.rend(), [](char& c) {
    if (c != '9') return true;
    c = '0';
    return false;
  });
  if (last_below_nine == digits.rend()) {
    digits.insert(digits.begin(), '1');
    return true;
  }
  ++*last_below_nine;
  return false;
}

// A decimal number without a sign, to 6 decimals, but never to more digits than a double tells
// apart: ties to even, without needless zeros.
std::string rounded(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
  std::size_t whole = std::min(text.find('.'), text.size());
  std::string digits(text.substr(0, whole));
  if (whole < text.size()) digits += text.substr(whole + 1);
  const std::size_t kept = std::min(whole + kDecimals, kDigits);
  if (digits.size() > kept) {
    const std::string cut = digits.substr(kept);
    digits.resize(kept);
    const bool is_tie = cut.front() == '5' && cut.find_first_not_of('0', 1) == std::string::npos;
    const bool is_odd = (digits.back() - '0') % 2 != 0;
    if ((is_tie ? is_odd : cut.front() >= '5') && increment(digits)) ++whole;
  }
  digits.resize(std::max(digits.size(), whole), '0');
  std::string decimals = digits.substr(whole);
  decimals.erase(decimals.find_last_not_of('0') + 1);
  return (whole == 0 ? "0" : digits.substr(0, whole)) + (decimals.empty() ? "" : "." + decimals);
}

std::string with_sign(bool is_negative, const std::string& text) {
  return is_negative && text != "0" ? "-" + text : text;
}

}  // namespace

std::size_t hash_value(const Value& value) {
  std::size_t seed = static_cast<std::size_t>(value.kind);
  boost::hash_combine(seed, value.number);
  boost::hash_combine(seed, value.word);
  for (const Value& part : value.parts) boost::hash_combine(seed, hash_value(part));
  return seed;
}

bool has_too_many_digits(std::string_view text) {
  return is_number(text) &&
         std::ranges::count_if(text, is_digit) > static_cast<std::ptrdiff_t>(kDigits);
}

std::optional<Value> read_value(std::string_view text) {
  if (is_number(text)) {
    if (has_too_many_digits(text)) return std::nullopt;
    double number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return Value::of(number == 0 ? 0 : number);  // no -0
  }
  const bool is_word = !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_digit(c) || is_letter(c) || c == '_' || c == '.';
  });
  if (!is_word) return std::nullopt;
  return Value::of(std::string(text));
}

// From the shortest decimal number that reads back as the same double, so that what was written as
// a tie is one.
std::string print_number(double number) {
  std::array<char, 400> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::abs(number),
                                 std::chars_format::fixed)
                       .ptr;
  return with_sign(number < 0, rounded({buffer.data(), end}));
}

std::string print(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNothing: return "-";
    case Value::Kind::kNumber: return print_number(value.number);
    case Value::Kind::kWord: return value.word;
    case Value::Kind::kList: break;
  }
  std::string text;
  for (const Value& part : value.parts) text += (text.empty() ? "(" : ",") + print(part);
  return text + ")";
}

std::optional<std::vector<std::string_view>> split_commas(std::string_view text) {
  std::vector<std::string_view> parts;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
    if (depth < 0) return std::nullopt;
    if (text[i] == ',' && depth == 0) {
      parts.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  if (depth != 0) return std::nullopt;
  parts.push_back(text.substr(begin));
  return parts;
}

std::optional<std::string> canonical_result(std::string_view text) {
  if (text == "-") return std::string(text);
  if (text.size() >= 2 && text.front() == '(' && text.back() == ')') {
    const auto parts = split_commas(text.substr(1, text.size() - 2));
    if (!parts) return std::nullopt;
    std::string list;
    for (const std::string_view part : *parts) {
      const auto result = canonical_result(part);
      if (!result) return std::nullopt;
      list += (list.empty() ? "(" : ",") + *result;
    }
    return list + ")";
  }
  if (is_number(text)) {
    const bool is_negative = text.front() == '-';
    return with_sign(is_negative, rounded(text.substr(is_negative ? 1 : 0)));
  }
  const auto word = read_value(text);
  if (!word) return std::nullopt;
  return print(*word);
}

}  // namespace tidemill::scenario

namespace tidemill {

void Codec<scenario::Value>::encode(Bytes& out, const Value& value) {
  Codec<Value::Kind>::encode(out, value.kind);
  switch (value.kind) {
    case Value::Kind::kNothing: return;
    case Value::Kind::kNumber: Codec<double>::encode(out, value.number); return;
    case Value::Kind::kWord: Codec<std::string>::encode(out, value.word); return;
    case Value::Kind::kList: Codec<std::vector<Value>>::encode(out, value.parts); return;
  }
}

scenario::Value Codec<scenario::Value>::decode(ByteReader& in) {
  Value value;
  value.kind = Codec<Value::Kind>::decode(in);
  switch (value.kind) {
    case Value::Kind::kNothing: return value;
    case Value::Kind::kNumber: value.number = Codec<double>::decode(in); return value;
    case Value::Kind::kWord: value.word = Codec<std::string>::decode(in); return value;
    case Value::Kind::kList: value.parts = Codec<std::vector<Value>>::decode(in); return value;
  }
  throw Error(ErrorCode::kCorrupt, "stored scenario value is of no kind: " +
                                       std::to_string(static_cast<int>(value.kind)));
}

std::size_t HeapSize<scenario::Value>::of(const scenario::Value& value) {
  std::size_t total = memory_size(value.word) + value.parts.capacity() * sizeof(scenario::Value);
  for (const scenario::Value& part : value.parts) total += of(part);
  return total;
}

}  // namespace tidemill
