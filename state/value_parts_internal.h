// What showing values and reading keys share.
#pragma once

#include "state/codec.h"
#include "state/stored_type.h"

namespace tidemill {

// Signed and unsigned integers as Codec writes them.
inline __int128 read_integer(const StoredType& type, ByteReader& in) {
  if (type.width == 16) {
    const auto value = Codec<unsigned __int128>::decode(in);
    return static_cast<__int128>(value);
  }
  if (type.width == 1) {
    const std::uint8_t byte = in.u8();
    return type.is_signed ? static_cast<std::int8_t>(byte) : byte;
  }
  const std::uint64_t raw = in.varint();
  return type.is_signed ? __int128{unzigzag(raw)} : __int128{raw};
}

inline bool is_plain(StoredType::Kind kind) {
  return kind == StoredType::Kind::kText || kind == StoredType::Kind::kNumber ||
         kind == StoredType::Kind::kEnum || kind == StoredType::Kind::kBool ||
         kind == StoredType::Kind::kEventTime || kind == StoredType::Kind::kDuration;
}

}  // namespace tidemill
