// The stable 64-bit hash: part of every on-disk and on-wire decision (key groups, storage order),
// so it may never change. Integers: the finaliser of MurmurHash3 (Appleby, public domain
// constants). Bytes: XXH3-64 of xxHash, whose format is frozen.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidemill {

constexpr std::uint64_t mix64(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  x ^= x >> 33;
  return x;
}

std::uint64_t hash_bytes(std::string_view bytes);

template <std::integral T>
constexpr std::uint64_t stable_hash(T value) {
  return mix64(static_cast<std::uint64_t>(value) + 0x9e3779b97f4a7c15ULL);
}
inline std::uint64_t stable_hash(std::string_view value) { return hash_bytes(value); }
inline std::uint64_t stable_hash(const std::string& value) { return hash_bytes(value); }

}  // namespace tidemill
