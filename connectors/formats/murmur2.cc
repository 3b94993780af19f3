#include "connectors/formats/murmur2.h"

#include <cstddef>
#include <cstring>

namespace tidemill {

std::uint32_t murmur2(std::string_view key) {
  constexpr std::uint32_t kSeed = 0x9747b28c;
  constexpr std::uint32_t kMultiplier = 0x5bd1e995;
  const char* at = key.data();
  std::size_t left = key.size();
  std::uint32_t h = kSeed ^ static_cast<std::uint32_t>(left);
  for (; left >= 4; at += 4, left -= 4) {
    std::uint32_t k = 0;  // little-endian, as the machines we run on
    std::memcpy(&k, at, 4);
    k *= kMultiplier;
    k ^= k >> 24;
    k *= kMultiplier;
    h *= kMultiplier;
    h ^= k;
  }
  std::uint32_t tail = 0;
  for (std::size_t i = left; i > 0; --i) tail = tail << 8 | static_cast<unsigned char>(at[i - 1]);
  if (left > 0) {
    h ^= tail;
    h *= kMultiplier;
  }
  h ^= h >> 13;
  h *= kMultiplier;
  h ^= h >> 15;
  return h;
}

std::int32_t partition_of(std::string_view key, std::int32_t num_partitions) {
  return static_cast<std::int32_t>((murmur2(key) & 0x7fffffffu) %
                                   static_cast<std::uint32_t>(num_partitions));
}

}  // namespace tidemill
