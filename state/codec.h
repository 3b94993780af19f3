// How a value becomes bytes in state, and back. Codec<T> knows numbers, bool, enums, EventTime,
// std::string, the usual containers, and every struct with a BOOST_DESCRIBE_STRUCT line. Decoding
// damaged bytes throws Error(kCorrupt), never reads outside them.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>

#include "engine/base/bytes.h"
#include "engine/base/time.h"

namespace tidemill {

namespace codec {

template <class T>
inline constexpr bool kAlwaysFalse = false;

template <class T>
concept Described = std::is_class_v<T> && boost::describe::has_describe_members<T>::value;

template <class T>
using Members = boost::describe::describe_members<T, boost::describe::mod_public |
                                                         boost::describe::mod_inherited>;

// Reads the number of elements that follow; each takes at least one byte, so a damaged number
// cannot make us allocate the world.
inline std::size_t read_count(ByteReader& in) {
  const std::uint64_t count = in.varint();
  if (count > in.size())
    throw Error(ErrorCode::kCorrupt,
                "stored bytes are truncated: container of " + std::to_string(count) + " elements");
  return static_cast<std::size_t>(count);
}

}  // namespace codec

template <class T>
struct Codec {
  static_assert(!std::is_same_v<T, std::string_view>,
                "tidemill: state cannot hold a view: use std::string.");
  static_assert(codec::kAlwaysFalse<T> || std::is_same_v<T, std::string_view>,
                "tidemill: this type cannot be kept in state. A struct needs one line "
                "BOOST_DESCRIBE_STRUCT(Type, (), (fields...)) "
                "after its definition; any other type a specialisation of tidemill::Codec with "
                "encode and decode.");
};

template <std::integral T>
struct Codec<T> {
  static void encode(Bytes& out, T value) {
    if constexpr (std::is_same_v<T, bool> || sizeof(T) == 1) {
      append_u8(out, static_cast<std::uint8_t>(value));
    } else if constexpr (std::is_signed_v<T>) {
      append_varint(out, zigzag(static_cast<std::int64_t>(value)));
    } else {
      append_varint(out, static_cast<std::uint64_t>(value));
    }
  }
  static T decode(ByteReader& in) {
    if constexpr (std::is_same_v<T, bool>) {
      return in.u8() != 0;
    } else if constexpr (sizeof(T) == 1) {
      return static_cast<T>(in.u8());
    } else if constexpr (std::is_signed_v<T>) {
      return static_cast<T>(unzigzag(in.varint()));
    } else {
      return static_cast<T>(in.varint());
    }
  }
};

template <class T>
requires std::is_enum_v<T>
struct Codec<T> {
  using Number = std::underlying_type_t<T>;
  static void encode(Bytes& out, T value) {
    Codec<Number>::encode(out, static_cast<Number>(value));
  }
  static T decode(ByteReader& in) { return static_cast<T>(Codec<Number>::decode(in)); }
};

template <>
struct Codec<double> {
  static void encode(Bytes& out, double value) {
    append_u64(out, std::bit_cast<std::uint64_t>(value));
  }
  static double decode(ByteReader& in) { return std::bit_cast<double>(in.u64()); }
};

template <>
struct Codec<float> {
  static void encode(Bytes& out, float value) {
    append_u32(out, std::bit_cast<std::uint32_t>(value));
  }
  static float decode(ByteReader& in) { return std::bit_cast<float>(in.u32()); }
};

template <>
struct Codec<unsigned __int128> {
  static void encode(Bytes& out, unsigned __int128 value) {
    append_u64(out, static_cast<std::uint64_t>(value >> 64));
    append_u64(out, static_cast<std::uint64_t>(value));
  }
  static unsigned __int128 decode(ByteReader& in) {
    const unsigned __int128 high = in.u64();
    return (high << 64) | in.u64();
  }
};

template <>
struct Codec<__int128> {
  static void encode(Bytes& out, __int128 value) {
    Codec<unsigned __int128>::encode(out, static_cast<unsigned __int128>(value));
  }
  static __int128 decode(ByteReader& in) {
    return static_cast<__int128>(Codec<unsigned __int128>::decode(in));
  }
};

template <>
struct Codec<EventTime> {
  static void encode(Bytes& out, EventTime value) { Codec<std::int64_t>::encode(out, value.ms); }
  static EventTime decode(ByteReader& in) { return {Codec<std::int64_t>::decode(in)}; }
};

template <>
struct Codec<Duration> {
  static void encode(Bytes& out, Duration value) {
    Codec<std::int64_t>::encode(out, value.count());
  }
  static Duration decode(ByteReader& in) { return Duration(Codec<std::int64_t>::decode(in)); }
};

template <>
struct Codec<std::string> {
  static void encode(Bytes& out, std::string_view value) { append_sized(out, value); }
  static std::string decode(ByteReader& in) { return std::string(in.sized()); }
};

template <class T>
struct Codec<std::optional<T>> {
  static void encode(Bytes& out, const std::optional<T>& value) {
    append_u8(out, value ? 1 : 0);
    if (value) Codec<T>::encode(out, *value);
  }
  static std::optional<T> decode(ByteReader& in) {
    if (in.u8() == 0) return std::nullopt;
    return Codec<T>::decode(in);
  }
};

template <class A, class B>
struct Codec<std::pair<A, B>> {
  static void encode(Bytes& out, const std::pair<A, B>& value) {
    Codec<A>::encode(out, value.first);
    Codec<B>::encode(out, value.second);
  }
  static std::pair<A, B> decode(ByteReader& in) {
    A first = Codec<A>::decode(in);
    B second = Codec<B>::decode(in);
    return {std::move(first), std::move(second)};
  }
};

template <class... Ts>
struct Codec<std::tuple<Ts...>> {
  static void encode(Bytes& out, const std::tuple<Ts...>& value) {
    std::apply([&out](const Ts&... parts) { (Codec<Ts>::encode(out, parts), ...); }, value);
  }
  // Braces evaluate left to right.
  static std::tuple<Ts...> decode(ByteReader& in) {
    return std::tuple<Ts...>{Codec<Ts>::decode(in)...};
  }
};

template <class T, std::size_t N>
struct Codec<std::array<T, N>> {
  static void encode(Bytes& out, const std::array<T, N>& value) {
    for (const T& element : value) Codec<T>::encode(out, element);
  }
  static std::array<T, N> decode(ByteReader& in) {
    std::array<T, N> value{};
    for (T& element : value) element = Codec<T>::decode(in);
    return value;
  }
};

template <class T>
struct Codec<std::vector<T>> {
  static void encode(Bytes& out, const std::vector<T>& value) {
    append_varint(out, value.size());
    for (const auto& element : value) Codec<T>::encode(out, element);
  }
  static std::vector<T> decode(ByteReader& in) {
    const std::size_t count = codec::read_count(in);
    std::vector<T> value;
    value.reserve(count);
    for (std::size_t i = 0; i < count; ++i) value.push_back(Codec<T>::decode(in));
    return value;
  }
};

template <class K, class V>
struct Codec<std::map<K, V>> {
  static void encode(Bytes& out, const std::map<K, V>& value) {
    append_varint(out, value.size());
    for (const auto& [k, v] : value) {
      Codec<K>::encode(out, k);
      Codec<V>::encode(out, v);
    }
  }
  static std::map<K, V> decode(ByteReader& in) {
    const std::size_t count = codec::read_count(in);
    std::map<K, V> value;
    for (std::size_t i = 0; i < count; ++i) {
      K k = Codec<K>::decode(in);
      V v = Codec<V>::decode(in);
      value.emplace_hint(value.end(), std::move(k), std::move(v));
    }
    return value;
  }
};

template <class K>
struct Codec<std::set<K>> {
  static void encode(Bytes& out, const std::set<K>& value) {
    append_varint(out, value.size());
    for (const auto& k : value) Codec<K>::encode(out, k);
  }
  static std::set<K> decode(ByteReader& in) {
    const std::size_t count = codec::read_count(in);
    std::set<K> value;
    for (std::size_t i = 0; i < count; ++i) value.insert(value.end(), Codec<K>::decode(in));
    return value;
  }
};

// A layout version and the number of fields come first, so that a struct may grow: fields that the
// bytes do not have keep their default.
template <codec::Described T>
struct Codec<T> {
  static constexpr std::uint8_t kLayout = 1;

  static void encode(Bytes& out, const T& value) {
    append_u8(out, kLayout);
    append_varint(out, boost::mp11::mp_size<codec::Members<T>>::value);
    boost::mp11::mp_for_each<codec::Members<T>>([&](auto member) {
      using Field = std::remove_cvref_t<decltype(value.*member.pointer)>;
      Codec<Field>::encode(out, value.*member.pointer);
    });
  }
  static T decode(ByteReader& in) {
    if (const std::uint8_t layout = in.u8(); layout != kLayout) {
      throw Error(ErrorCode::kCorrupt,
                  "stored struct has an unknown layout: " + std::to_string(layout) +
                      "; written by a newer version?");
    }
    std::uint64_t stored = in.varint();
    if (stored > boost::mp11::mp_size<codec::Members<T>>::value) {
      throw Error(
          ErrorCode::kCorrupt,
          "stored struct has more fields than the program knows: " + std::to_string(stored) +
              "; a field was removed, or the checkpoint is from a newer version");
    }
    T value{};
    boost::mp11::mp_for_each<codec::Members<T>>([&](auto member) {
      using Field = std::remove_cvref_t<decltype(value.*member.pointer)>;
      if (stored == 0) return;
      --stored;
      value.*member.pointer = Codec<Field>::decode(in);
    });
    return value;
  }
};

template <class T>
void encode(Bytes& out, const T& value) {
  Codec<T>::encode(out, value);
}
// Decodes all of `bytes`; bytes left over are damage too.
template <class T>
T decode(ByteView bytes) {
  ByteReader in(bytes);
  T value = Codec<T>::decode(in);
  if (!in.empty())
    throw Error(ErrorCode::kCorrupt, "stored value is longer than its type: " +
                                         std::to_string(in.size()) + " bytes left over");
  return value;
}

}  // namespace tidemill
