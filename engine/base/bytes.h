// Byte strings and the integer encodings that every stored format uses: big-endian integers whose
// byte order is their numeric order, and LEB128 varints. Readers throw Error(kCorrupt) instead of
// reading past the end.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace tidemill {

using Bytes = std::string;
using ByteView = std::string_view;

inline void append_u64(Bytes& out, std::uint64_t value) {
  const std::uint64_t big = __builtin_bswap64(value);
  out.append(reinterpret_cast<const char*>(&big), sizeof big);
}
inline void append_u32(Bytes& out, std::uint32_t value) {
  const std::uint32_t big = __builtin_bswap32(value);
  out.append(reinterpret_cast<const char*>(&big), sizeof big);
}
inline void append_u8(Bytes& out, std::uint8_t value) { out.push_back(static_cast<char>(value)); }

// Flips the sign bit, so that negative numbers sort before positive ones.
constexpr std::uint64_t ordered(std::int64_t value) {
  return static_cast<std::uint64_t>(value) ^ (1ULL << 63);
}
constexpr std::int64_t unordered(std::uint64_t value) {
  return static_cast<std::int64_t>(value ^ (1ULL << 63));
}

inline void append_varint(Bytes& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>((value & 0x7F) | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}
constexpr std::uint64_t zigzag(std::int64_t v) {
  return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t v) {
  return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
}

// Reads what the append functions wrote, front to back. The viewed bytes must outlive it.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : rest_(bytes) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] std::size_t size() const { return rest_.size(); }

  std::uint64_t u64() {
    std::uint64_t big = 0;
    std::memcpy(&big, take(sizeof big).data(), sizeof big);
    return __builtin_bswap64(big);
  }
  std::uint32_t u32() {
    std::uint32_t big = 0;
    std::memcpy(&big, take(sizeof big).data(), sizeof big);
    return __builtin_bswap32(big);
  }
  std::uint8_t u8() { return static_cast<std::uint8_t>(take(1)[0]); }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::uint8_t byte = u8();
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    throw Error(ErrorCode::kCorrupt, "stored number is malformed: varint longer than 10 bytes");
  }
  ByteView take(std::size_t n) {
    if (n > rest_.size()) {
      throw Error(ErrorCode::kCorrupt, "stored bytes are truncated: wanted " + std::to_string(n) +
                                           ", have " + std::to_string(rest_.size()));
    }
    const ByteView head = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return head;
  }
  ByteView sized() { return take(static_cast<std::size_t>(varint())); }

 private:
  ByteView rest_;
};

inline void append_sized(Bytes& out, ByteView bytes) {
  append_varint(out, bytes.size());
  out.append(bytes);
}

}  // namespace tidemill
