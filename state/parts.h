// Values that come in parts. What can be merged need not be read to be added to: the store is given
// what was added as a part, and merges the parts of a key later, when it compacts its files or
// somebody asks. docs/decisions/0007_parts.md.
#pragma once

#include <concepts>
#include <optional>
#include <span>
#include <string>
#include <typeinfo>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "state/codec.h"

namespace tidemill {

// A row's value is what its codec writes, or u8 2 and then sized parts of the kind, the oldest
// first: those that nobody could merge, since their type was not known.
[[nodiscard]] bool is_in_parts(ByteView value);
// Appends a value, or the parts of one, to `out`, which is empty or in parts.
void append_part(Bytes& out, ByteView value);
// Reads the next part. Requires: `in` began behind the 2, and is not at the end. Throws
// Error(kCorrupt).
[[nodiscard]] ByteView next_part(ByteReader& in);

// What becomes of `what`, a state or its type, if its values may be in parts and the program cannot
// merge them.
[[nodiscard]] Error cannot_merge(const std::string& what);

// Appends what some values, or parts, are together to `out`, the oldest first. Throws
// Error(kCorrupt).
using MergeParts = void (*)(std::span<const ByteView> parts, Bytes& out);

// Values that may be stored in parts. Merging has to be associative (operators/accumulator.h); what
// their codec writes begins with the 1 of a described struct.
template <class V>
concept Mergeable = requires(V value, const V& other) {
  value.merge(other);
  requires Codec<V>::kBeginsWithLayout;
};

template <class V>
void add_part(std::optional<V>& whole, V part) {
  if (whole) {
    whole->merge(part);
  } else {
    whole = std::move(part);
  }
}

// Decodes a row's value, whole or in parts.
template <class V>
V decode_value(ByteView value) {
  if constexpr (Mergeable<V>) {
    if (is_in_parts(value)) {
      std::optional<V> whole;
      for (ByteReader in(value.substr(1)); !in.empty();) add_part(whole, decode<V>(next_part(in)));
      return std::move(whole).value_or(V{});
    }
  } else if constexpr (requires { Codec<V>::kBeginsWithLayout; }) {
    if (is_in_parts(value)) throw cannot_merge(type_name(typeid(V)));
  }
  return decode<V>(value);
}

template <Mergeable V>
void merge_parts_of(std::span<const ByteView> parts, Bytes& out) {
  std::optional<V> whole;
  for (const ByteView part : parts) add_part(whole, decode_value<V>(part));
  if (whole) encode(out, *whole);
}

}  // namespace tidemill
