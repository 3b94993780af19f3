// JSON in: one record, one object, straight into a struct. Built on simdjson, which stays out of
// this header.
//
// A record is accepted only if all of it is one JSON object in UTF-8, fields nobody asked for
// included, so that what is good and what is bad does not depend on the struct. Rules beyond RFC
// 8259:
// - unknown fields are ignored, and so is the order; of fields given twice the last one counts, but
// each must be of the right type;
// - an integer may be written with a fraction or an exponent if its value is whole and below
// 2^53: 3.0 is 3;
// - numbers are never read from text or the other way round; `null` is no value: wrong for a plain
// member, empty for an optional one;
// - a double too large for 64 bits is out of range, one too small is zero;
// - EventTime is text (iso_time.h) or whole milliseconds since the epoch;
// - nesting deeper than 256 levels, more than `max_bytes`, a byte order mark and unpaired
// surrogates in escapes are refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/formats/json_fields.h"

namespace tidemill {

enum class JsonFault : std::uint8_t {
  kNone,
  kMalformed,  // not JSON, or more than one value
  kNotUtf8,
  kNotObject,  // JSON, but a list, a text, a number …
  kMissingField,
  kMistyped,
  kOutOfRange,  // a number or a time that the member cannot hold
  kBadTime,     // a text that is no instant
  kTooLarge,
  kTooDeep,
};

// One word for metrics and dead letters: "malformed", "missing_field" …
[[nodiscard]] std::string_view name_of(JsonFault fault);

// What became of a record. Cheap to return; `text` builds a sentence for people and allocates.
struct Decoded {
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

  JsonFault fault = JsonFault::kNone;
  std::string_view field;  // the member's JSON name; empty if no single field is at fault. Lives as
                           // long as the decoder
  std::size_t position = kNowhere;  // byte offset in the record
  const char* detail = "";          // static text

  explicit operator bool() const { return fault == JsonFault::kNone; }
  // "wrong type: wanted a number (field value, byte 34)"
  [[nodiscard]] std::string text() const;
};

struct JsonLimits {
  std::size_t max_bytes =
      8u << 20;  // a parser needs about ten times the bytes of the largest record
};

// The parser behind JsonDecoder. One thread at a time; reuses its memory, and gives back what a
// very large record needed.
class JsonReader {
 public:
  explicit JsonReader(std::vector<JsonSlot> slots, JsonLimits limits = {});
  ~JsonReader();
  JsonReader(JsonReader&&) noexcept;
  JsonReader& operator=(JsonReader&&) noexcept;

  // Requires: `row` points to the struct the slots were made for. On a fault its members hold
  // anything valid.
  [[nodiscard]] Decoded read(std::string_view record, void* row);

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

// Reads records into structs whose members were listed; by default all described members under
// their own names.
template <class T>
class JsonDecoder {
 public:
  explicit JsonDecoder(JsonLimits limits = {}) : JsonDecoder(JsonFields<T>::described(), limits) {}
  explicit JsonDecoder(const JsonFields<T>& fields, JsonLimits limits = {})
      : reader_(fields.slots(), limits) {}

  // Overwrites the listed members of `out`, whose strings keep their memory from record to record.
  [[nodiscard]] Decoded decode(std::string_view record, T& out) {
    return reader_.read(record, &out);
  }

 private:
  JsonReader reader_;
};

}  // namespace tidemill
