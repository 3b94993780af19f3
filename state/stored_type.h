// The type of what is stored, as a value: kept beside the rows, so that a program of another
// version can tell what they are and read them with types that have changed (type_change.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"

namespace tidemill {

struct StoredField;

// Says of any bytes that Codec<T> wrote where they end. A value; compared by what `encode` gives.
struct StoredType {
  // Stored: numbers are never reused.
  enum class Kind : std::uint8_t {
    kBool = 1,
    kNumber = 2,  // an integer: 1 and 16 bytes at a fixed length, others as varint
    kEnum = 3,    // stored as the integer below it
    kFloat = 4,
    kEventTime = 5,
    kDuration = 6,
    kText = 7,
    kOptional = 8,
    kTuple = 9,  // also a pair
    kArray = 10,
    kVector = 11,
    kMap = 12,
    kSet = 13,
    kStruct = 14,
    kOwn = 15,   // with a codec of its own, known by name
    kSelf = 16,  // a struct that this one is part of: `count` structs further out
    kTail = 17,  // a whole row: the first part, and where the row goes on, the others
    // In layouts only, for people and tools: never what a state is compared by.
    kRecord = 18,    // named parts, one behind the other
    kExactSum = 19,  // what ExactSum writes
    kShown = 20,     // kOwn with its layout
  };
  using Skip = void (*)(ByteReader&);

  Kind kind = Kind::kBool;
  std::uint8_t width = 0;  // of numbers, enums and floats: bytes in memory
  bool is_signed = false;
  std::uint64_t count = 0;  // elements of an array
  std::string name;         // kOwn
  std::vector<StoredField> parts;
  // kOwn, in the program only: reads one and forgets it.
  Skip skip = nullptr;
  // kOwn: nothing, or what its bytes are made of, so that a tool without the program can show them
  // and tell where they end. Kept beside the type: a layout that is better described later does not
  // change what may be restored.
  std::vector<StoredType> layout;
};

struct StoredField {
  std::string id;  // of a struct's field: its name for ever
  StoredType type;
  Bytes
      fallback;  // of a struct's field, in the program only: what it is in a value made by default
};

// What a keyed state is made of.
struct StateTypes {
  StoredType key;
  StoredType value;
  bool can_merge = false;  // of the program: it can put values in parts together (parts.h)
};

void encode(Bytes& out, const StoredType& type);
// Reads both what `encode` and what `encode_shown` gives. Throws Error(kCorrupt).
StoredType decode_stored_type(ByteReader& in);
Bytes encode(const StoredType& type);
// With the layouts.
Bytes encode_shown(const StoredType& type);
[[nodiscard]] bool has_layout(const StoredType& type);

// "map<text, struct{count: int64, at: EventTime}>".
std::string to_text(const StoredType& type);

// The name of a C++ type as it is written in a program.
std::string type_name(const std::type_info& type);

// Makers, for `Codec<T>::stored_type`.
namespace stored {

StoredType plain(StoredType::Kind kind);
StoredType number(StoredType::Kind kind, std::size_t width, bool is_signed);
StoredType array(std::size_t count, StoredType element);
// A type with a codec of its own, and those of its parts that are written by theirs.
StoredType own(std::string name, StoredType::Skip skip, std::vector<StoredType> parts = {});

// Of layouts: parts by name, one behind the other, without what Codec writes before a struct.
StoredType record(std::vector<std::pair<std::string, StoredType>> parts);

// Throws Error(kConfig) if two fields of a struct are stored under one name.
void require_distinct_fields(const StoredType& type, const std::string& name);

// Of containers, optionals and tuples.
template <class... Types>
StoredType of(StoredType::Kind kind, Types... parts) {
  StoredType type = plain(kind);
  (type.parts.push_back({{}, std::move(parts), {}}), ...);
  return type;
}

}  // namespace stored

}  // namespace tidemill
