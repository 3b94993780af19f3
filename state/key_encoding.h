// The layout of a backend key: [u16 state][8 bytes namespace, or none][u64 hash][key bytes],
// big-endian, so that byte order is (state, namespace, hash) order: a closed window is one range, a
// key group of it a sub-range. Docs: docs/checkpoint_format.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/hash.h"
#include "engine/base/time.h"
#include "engine/operator/key_group.h"
#include "state/codec.h"

namespace tidemill {

// The stable hash of every type that may be a key: integers, enums, EventTime, strings, pairs and
// tuples of these, described structs. It decides key groups and storage order, so it may never
// change. `Hashable` types outside this list specialise KeyHash.
template <class K>
struct KeyHash {
  static_assert(
      codec::kAlwaysFalse<K>,
      "tidemill: this type cannot be a key: use integers, strings, pairs or tuples of these, or a "
      "struct with BOOST_DESCRIBE_STRUCT; otherwise specialise tidemill::KeyHash.");
};

template <class K>
std::uint64_t key_hash(const K& key) {
  return KeyHash<K>::of(key);
}
inline std::uint64_t key_hash(std::string_view key) { return hash_bytes(key); }
inline std::uint64_t key_hash(const char* key) { return hash_bytes(key); }

namespace key_encoding {
constexpr std::uint64_t combine(std::uint64_t seed, std::uint64_t next) {
  return mix64(seed * 0x9e3779b97f4a7c15ULL + next);
}
}  // namespace key_encoding

template <std::integral K>
struct KeyHash<K> {
  static constexpr std::uint64_t of(K key) { return stable_hash(key); }
};
template <class K>
requires std::is_enum_v<K>
struct KeyHash<K> {
  static constexpr std::uint64_t of(K key) {
    return stable_hash(static_cast<std::underlying_type_t<K>>(key));
  }
};
template <>
struct KeyHash<EventTime> {
  static constexpr std::uint64_t of(EventTime key) { return stable_hash(key.ms); }
};
template <>
struct KeyHash<std::string> {
  static std::uint64_t of(std::string_view key) { return hash_bytes(key); }
};
template <>
struct KeyHash<std::string_view> {
  static std::uint64_t of(std::string_view key) { return hash_bytes(key); }
};
template <class A, class B>
struct KeyHash<std::pair<A, B>> {
  static std::uint64_t of(const std::pair<A, B>& key) {
    return key_encoding::combine(key_encoding::combine(0, KeyHash<A>::of(key.first)),
                                 KeyHash<B>::of(key.second));
  }
};
template <class... Ts>
struct KeyHash<std::tuple<Ts...>> {
  static std::uint64_t of(const std::tuple<Ts...>& key) {
    std::uint64_t hash = 0;
    std::apply(
        [&](const Ts&... parts) {
          ((hash = key_encoding::combine(hash, KeyHash<Ts>::of(parts))), ...);
        },
        key);
    return hash;
  }
};
template <codec::Described K>
struct KeyHash<K> {
  static std::uint64_t of(const K& key) {
    std::uint64_t hash = 0;
    boost::mp11::mp_for_each<codec::Members<K>>([&](auto member) {
      using Field = std::remove_cvref_t<decltype(key.*member.pointer)>;
      hash = key_encoding::combine(hash, KeyHash<Field>::of(key.*member.pointer));
    });
    return hash;
  }
};

// Names one state of one operator inside a backend.
using StateId = std::uint16_t;

// What all keys of one (state, namespace) start with.
inline Bytes key_prefix(StateId state) {
  Bytes out;
  append_u8(out, static_cast<std::uint8_t>(state >> 8));
  append_u8(out, static_cast<std::uint8_t>(state));
  return out;
}
inline Bytes key_prefix(StateId state, EventTime ns) {
  Bytes out = key_prefix(state);
  append_u64(out, ordered(ns.ms));
  return out;
}

// The first key that is greater than every key with this prefix; empty: there is none.
inline Bytes prefix_end(Bytes prefix) {
  while (!prefix.empty()) {
    if (static_cast<unsigned char>(prefix.back()) != 0xFF) {
      prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
      return prefix;
    }
    prefix.pop_back();
  }
  return prefix;
}

// A half-open range of backend keys; an empty `end` means the end of the store.
struct KeyRange {
  Bytes begin;
  Bytes end;
};

// The keys of groups [begin, end) below `prefix`.
inline KeyRange group_range(const Bytes& prefix, KeyGroup begin, KeyGroup end,
                            std::uint32_t groups) {
  KeyRange range{prefix, {}};
  append_u64(range.begin, first_hash_of(begin, groups));
  if (end >= groups) {
    range.end = prefix_end(prefix);
  } else {
    range.end = prefix;
    append_u64(range.end, first_hash_of(end, groups));
  }
  return range;
}

// The state that a row is of, as bytes.
inline ByteView state_of(ByteView key) { return key.substr(0, 2); }
inline StateId state_id_of(ByteView key) {
  return static_cast<StateId>(static_cast<unsigned char>(key[0]) << 8 |
                              static_cast<unsigned char>(key[1]));
}
// Where [u16 state][u64 namespace] ends. In states without namespaces that is within the hash, so
// that nearly every row seems to have one of its own.
inline ByteView namespace_of(ByteView key) { return key.substr(0, 10); }

}  // namespace tidemill
