// What records of a scenario hold: a number, a word, a list of these, or nothing.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "state/codec.h"
#include "state/memory_size.h"

namespace tidemill::scenario {

struct Value {
  enum class Kind : std::uint8_t { kNothing, kNumber, kWord, kList };
  Kind kind = Kind::kNothing;
  double number = 0;
  std::string word;
  std::vector<Value> parts;

  static Value of(double n) { return {Kind::kNumber, n, {}, {}}; }
  static Value of(std::string w) { return {Kind::kWord, 0, std::move(w), {}}; }
  static Value of(std::vector<Value> list) { return {Kind::kList, 0, {}, std::move(list)}; }

  friend bool operator==(const Value&, const Value&) = default;
};

std::size_t hash_value(const Value& value);

// A number of more digits than a double tells apart: it would be compared to another one.
bool has_too_many_digits(std::string_view text);

// A number or a word; nothing if `text` is neither.
std::optional<Value> read_value(std::string_view text);

// Canonical: numbers to 6 decimals and at most 15 digits (ties to even) without trailing zeros, "-"
// for nothing, (V,V,…).
std::string print(const Value& value);
std::string print_number(double number);

// The canonical spelling of a result as it stands in a file; nothing if it is none.
std::optional<std::string> canonical_result(std::string_view text);

// Splits at the commas outside parentheses; nothing if the parentheses do not match.
std::optional<std::vector<std::string_view>> split_commas(std::string_view text);

}  // namespace tidemill::scenario

template <>
struct tidemill::Codec<tidemill::scenario::Value> {
  using Value = scenario::Value;
  static void encode(Bytes& out, const Value& value);
  static Value decode(ByteReader& in);
};

template <>
struct tidemill::HeapSize<tidemill::scenario::Value> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const scenario::Value& value);
};
