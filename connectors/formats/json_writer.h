// JSON out: appends to a string the caller owns and reuses, so that a row costs no allocation once
// the string has grown.
//
// Numbers print as JavaScript and RFC 8785 print them: the fewest digits that read back equal, `3`
// for 3.0, `1e+21` from 10^21 on, `0` for -0.0. Not-a-number and the infinities, which JSON lacks,
// print as `null`. Bytes that are no UTF-8 print as U+FFFD, so that what was written can always be
// read. Times are ISO 8601 UTC with milliseconds (iso_time.h).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connectors/formats/json_fields.h"
#include "engine/base/time.h"

namespace tidemill {

// Single values, without commas.
void append_json(std::string& out, std::string_view text);
void append_json(std::string& out, double value);
void append_json(std::string& out, std::int64_t value);
void append_json(std::string& out, std::uint64_t value);
void append_json(std::string& out, EventTime time);
// A template, so that no pointer converts to it.
void append_json(std::string& out, std::same_as<bool> auto value) {
  out += value ? "true" : "false";
}
inline void append_json(std::string& out, std::nullptr_t) { out += "null"; }

// The same for rows that are made by hand where every nanosecond counts: written at `out`, which
// has room for them; they return the end.
constexpr std::size_t kMaxJsonNumber = 32;
constexpr std::size_t kMaxJsonTime = 34;
[[nodiscard]] constexpr std::size_t max_json_size(std::string_view text) {
  return 6 * text.size() + 2;
}
char* write_json(char* out, std::string_view text);
char* write_json(char* out, double value);
char* write_json(char* out, std::int64_t value);
char* write_json(char* out, EventTime time);

// Objects and arrays written by hand; it only knows where commas go. Not thread-safe; `out`
// outlives it.
//   JsonWriter(out).begin_object().field("user_id", id).field("count", n).end_object();
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }

  JsonWriter& key(std::string_view name) {
    separate();
    append_json(out_, name);
    out_ += ':';
    needs_comma_ = false;
    return *this;
  }
  // bool, integers, floating point, text, EventTime, nullptr and optionals of them.
  template <class V>
  JsonWriter& value(const V& v) {
    separate();
    append(v);
    needs_comma_ = true;
    return *this;
  }
  template <class V>
  JsonWriter& field(std::string_view name, const V& v) {
    return key(name).value(v);
  }

 private:
  // Choosing by exact type, since a literal would rather become a bool than a string_view.
  template <class V>
  void append(const V& v) {
    if constexpr (std::same_as<V, bool> || std::same_as<V, EventTime> ||
                  std::same_as<V, std::nullptr_t>) {
      append_json(out_, v);
    } else if constexpr (std::signed_integral<V>) {
      append_json(out_, static_cast<std::int64_t>(v));
    } else if constexpr (std::unsigned_integral<V>) {
      append_json(out_, static_cast<std::uint64_t>(v));
    } else if constexpr (std::floating_point<V>) {
      append_json(out_, static_cast<double>(v));
    } else {
      append_json(out_, std::string_view(v));
    }
  }
  template <class V>
  void append(const std::optional<V>& v) {
    if (v) {
      append(*v);
    } else {
      append_json(out_, nullptr);
    }
  }
  JsonWriter& open(char bracket) {
    separate();
    out_ += bracket;
    needs_comma_ = false;
    return *this;
  }
  JsonWriter& close(char bracket) {
    out_ += bracket;
    needs_comma_ = true;
    return *this;
  }
  void separate() {
    if (needs_comma_) out_ += ',';
  }

  std::string& out_;
  bool needs_comma_ = false;
};

// Writes structs whose members were listed; field names are escaped once, here.
class JsonRowWriter {
 public:
  explicit JsonRowWriter(std::vector<JsonSlot> slots);

  // Requires: `row` points to the struct the slots were made for.
  void append(const void* row, std::string& out) const;

 private:
  std::vector<JsonSlot> slots_;
  std::vector<std::string> prefixes_;  // `{"first":`, `,"second":`
};

// One JSON object per struct, on one line, fields in the order of the list; an empty optional
// prints as null. Thread-safe.
template <class T>
class JsonEncoder {
 public:
  JsonEncoder() : JsonEncoder(JsonFields<T>::described()) {}
  explicit JsonEncoder(const JsonFields<T>& fields) : writer_(fields.slots()) {}

  void encode(const T& row, std::string& out) const { writer_.append(&row, out); }

 private:
  JsonRowWriter writer_;
};

}  // namespace tidemill
