// How a value becomes bytes in state, and back. Codec<T> knows numbers, bool, enums, EventTime,
// std::string, the usual containers, and every struct with a BOOST_DESCRIBE_STRUCT line. Decoding
// damaged bytes throws Error(kCorrupt), never reads outside them. `stored_type` says what is
// written, for programs whose types have changed since (type_change.h).
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
#include <typeinfo>
#include <utility>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>

#include "engine/base/bytes.h"
#include "engine/base/time.h"
#include "state/stored_type.h"

namespace tidemill {

// A field of a described struct is known by its name for ever. If the member is renamed, this keeps
// the name that it is stored under:
//
//   template <>
//   struct tidemill::StoredNames<Payment> {
//     static constexpr StoredName kNames[] = {{.member = "country", .stored = "land"}};
//   };
struct StoredName {
  std::string_view member;
  std::string_view stored;
};
template <class T>
struct StoredNames {};

template <class T>
struct Codec;

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

// What a described struct begins with: a layout and the number of fields, so that it may grow.
inline constexpr std::uint8_t kStructLayout = 1;
inline std::size_t read_fields(ByteReader& in, std::size_t known) {
  if (const std::uint8_t layout = in.u8(); layout != kStructLayout) {
    throw Error(ErrorCode::kCorrupt, "stored struct has an unknown layout: " +
                                         std::to_string(layout) + "; written by a newer version?");
  }
  const std::uint64_t fields = in.varint();
  if (fields > known) {
    throw Error(ErrorCode::kCorrupt,
                "stored struct has more fields than the program knows: " + std::to_string(fields) +
                    "; a field was removed, or the checkpoint is from a newer version");
  }
  return static_cast<std::size_t>(fields);
}

template <class T>
StoredType stored_struct();
template <class T>
void pass_over(ByteReader& in);

}  // namespace codec

// A codec of your own may say `static StoredType stored_type()` (stored::own). Without it the type
// is known by its C++ name, or by a constant `Codec<T>::kTypeName`, and can never change.
//
// `static StoredType layout()` beside encode and decode says what the bytes are made of, for people
// and tools without the program (stored::record and the types of what is written); it changes
// neither the bytes nor what may be restored.
template <class T>
StoredType stored_type() {
  if constexpr (requires { Codec<T>::stored_type(); }) {
    return Codec<T>::stored_type();
  } else {
    std::string name;
    if constexpr (requires { Codec<T>::kTypeName; }) {
      name = Codec<T>::kTypeName;
    } else {
      name = type_name(typeid(T));
    }
    StoredType type = stored::own(std::move(name), codec::pass_over<T>);
    if constexpr (requires { Codec<T>::layout(); }) type.layout.push_back(Codec<T>::layout());
    return type;
  }
}

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
  static StoredType stored_type() {
    if constexpr (std::is_same_v<T, bool>) return stored::plain(StoredType::Kind::kBool);
    return stored::number(StoredType::Kind::kNumber, sizeof(T), std::is_signed_v<T>);
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
  static StoredType stored_type() {
    return stored::number(StoredType::Kind::kEnum, sizeof(T), std::is_signed_v<Number>);
  }
};

template <>
struct Codec<double> {
  static void encode(Bytes& out, double value) {
    append_u64(out, std::bit_cast<std::uint64_t>(value));
  }
  static double decode(ByteReader& in) { return std::bit_cast<double>(in.u64()); }
  static StoredType stored_type() {
    return stored::number(StoredType::Kind::kFloat, sizeof(double), true);
  }
};

template <>
struct Codec<float> {
  static void encode(Bytes& out, float value) {
    append_u32(out, std::bit_cast<std::uint32_t>(value));
  }
  static float decode(ByteReader& in) { return std::bit_cast<float>(in.u32()); }
  static StoredType stored_type() {
    return stored::number(StoredType::Kind::kFloat, sizeof(float), true);
  }
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
  static StoredType stored_type() {
    return stored::number(StoredType::Kind::kNumber, sizeof(unsigned __int128), false);
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
  static StoredType stored_type() {
    return stored::number(StoredType::Kind::kNumber, sizeof(__int128), true);
  }
};

template <>
struct Codec<EventTime> {
  static void encode(Bytes& out, EventTime value) { Codec<std::int64_t>::encode(out, value.ms); }
  static EventTime decode(ByteReader& in) { return {Codec<std::int64_t>::decode(in)}; }
  static StoredType stored_type() { return stored::plain(StoredType::Kind::kEventTime); }
};

template <>
struct Codec<Duration> {
  static void encode(Bytes& out, Duration value) {
    Codec<std::int64_t>::encode(out, value.count());
  }
  static Duration decode(ByteReader& in) { return Duration(Codec<std::int64_t>::decode(in)); }
  static StoredType stored_type() { return stored::plain(StoredType::Kind::kDuration); }
};

template <>
struct Codec<std::string> {
  static void encode(Bytes& out, std::string_view value) { append_sized(out, value); }
  static std::string decode(ByteReader& in) { return std::string(in.sized()); }
  static StoredType stored_type() { return stored::plain(StoredType::Kind::kText); }
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
  static StoredType stored_type() {
    return stored::of(StoredType::Kind::kOptional, tidemill::stored_type<T>());
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
  static StoredType stored_type() {
    return stored::of(StoredType::Kind::kTuple, tidemill::stored_type<A>(),
                      tidemill::stored_type<B>());
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
  static StoredType stored_type() {
    return stored::of(StoredType::Kind::kTuple, tidemill::stored_type<Ts>()...);
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
  static StoredType stored_type() { return stored::array(N, tidemill::stored_type<T>()); }
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
  static StoredType stored_type() {
    return stored::of(StoredType::Kind::kVector, tidemill::stored_type<T>());
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
  static StoredType stored_type() {
    return stored::of(StoredType::Kind::kMap, tidemill::stored_type<K>(),
                      tidemill::stored_type<V>());
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
  static StoredType stored_type() {
    return stored::of(StoredType::Kind::kSet, tidemill::stored_type<K>());
  }
};

// Fields that the bytes do not have keep their default.
template <codec::Described T>
struct Codec<T> {
  static constexpr bool kBeginsWithLayout = true;
  static void encode(Bytes& out, const T& value) {
    append_u8(out, codec::kStructLayout);
    append_varint(out, boost::mp11::mp_size<codec::Members<T>>::value);
    boost::mp11::mp_for_each<codec::Members<T>>([&](auto member) {
      using Field = std::remove_cvref_t<decltype(value.*member.pointer)>;
      Codec<Field>::encode(out, value.*member.pointer);
    });
  }
  static T decode(ByteReader& in) {
    std::size_t stored = codec::read_fields(in, boost::mp11::mp_size<codec::Members<T>>::value);
    T value{};
    boost::mp11::mp_for_each<codec::Members<T>>([&](auto member) {
      using Field = std::remove_cvref_t<decltype(value.*member.pointer)>;
      if (stored == 0) return;
      --stored;
      value.*member.pointer = Codec<Field>::decode(in);
    });
    return value;
  }
  static StoredType stored_type() { return codec::stored_struct<T>(); }
};

namespace codec {

template <class T>
void pass_over(ByteReader& in) {
  (void)Codec<T>::decode(in);
}

// How many structs are being described, one in another: tells a struct that is part of itself.
inline std::uint64_t& struct_depth() {
  thread_local std::uint64_t depth = 0;
  return depth;
}

template <class T>
std::string stored_name(std::string_view member) {
  if constexpr (requires { StoredNames<T>::kNames; }) {
    for (const StoredName& name : StoredNames<T>::kNames) {
      if (name.member == member) return std::string(name.stored);
    }
  }
  return std::string(member);
}

template <class T>
StoredType stored_struct() {
  thread_local std::uint64_t self = 0;  // while it is being described: its depth
  if (self != 0) {
    StoredType type = stored::plain(StoredType::Kind::kSelf);
    type.count = struct_depth() - self + 1;
    return type;
  }
  self = ++struct_depth();
  StoredType type = stored::plain(StoredType::Kind::kStruct);
  const T fresh{};
  boost::mp11::mp_for_each<Members<T>>([&](auto member) {
    using Field = std::remove_cvref_t<decltype(fresh.*member.pointer)>;
    StoredField& field = type.parts.emplace_back();
    field.id = stored_name<T>(member.name);
    field.type = tidemill::stored_type<Field>();
    Codec<Field>::encode(field.fallback, fresh.*member.pointer);
  });
  --struct_depth();
  self = 0;
  stored::require_distinct_fields(type, type_name(typeid(T)));
  return type;
}

}  // namespace codec

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
