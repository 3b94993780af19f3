// Stored values as JSON, and keys from text, by their stored type alone: without the program that
// wrote them. For people and tools; never on the way of a record.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "state/stored_type.h"

namespace tidemill {

// Structs and maps with plain keys are objects, other maps arrays of [key, value], tuples and
// containers arrays. Times are epoch milliseconds, durations milliseconds; integers beyond 2^53,
// the infinities and NaN are strings; a text that is not UTF-8 is {"hex": …}. A type with a codec
// of its own cannot be looked into: {"type": NAME, "hex": …}, and what comes behind it in the same
// value is part of those bytes. Throws Error(kCorrupt) if the bytes are no value of the type.
[[nodiscard]] std::string value_json(const StoredType& type, ByteView bytes);
// The same for what `in` begins with; reads past it.
[[nodiscard]] std::string value_json(const StoredType& type, ByteReader& in);

// `text` as a JSON string.
void append_json_text(std::string& out, std::string_view text);

// The bytes of a key: a text as it is, a number in decimal, a time in epoch milliseconds; a tuple
// as a JSON array, a struct as a JSON object or array. Throws Error(kConfig) saying what the type
// wants.
[[nodiscard]] Bytes parse_key(const StoredType& type, std::string_view text);

// What KeyHash gives for this key; nothing if the type has a codec, and so perhaps a hash, of its
// own.
[[nodiscard]] std::optional<std::uint64_t> stored_key_hash(const StoredType& type, ByteView key);

}  // namespace tidemill
