// The random numbers of the Rust crate `rand` 0.8 on 64-bit machines, bit for bit: SmallRng
// (xoshiro256++) and the ways it draws ranges. Nothing here is for anything but benchmark data.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace tidemill::nexmark {

class SmallRng {
 public:
  // rand_core's default seed_from_u64: eight words of a PCG32 stream, which advances first.
  explicit SmallRng(std::uint64_t seed) {
    for (std::uint64_t& word : state_) {
      const std::uint64_t low = pcg32(seed);
      word = low | (std::uint64_t{pcg32(seed)} << 32);
    }
  }

  std::uint64_t next_u64() {
    const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  std::uint32_t next_u32() { return static_cast<std::uint32_t>(next_u64() >> 32); }

  // Uniform in [0, range), range > 0: of 64-bit draws (usize, u64) and of 32-bit ones (i32, u32,
  // the choice from a slice).
  std::uint64_t below64(std::uint64_t range) {
    const std::uint64_t zone = (range << std::countl_zero(range)) - 1;
    while (true) {
      const auto product = static_cast<unsigned __int128>(next_u64()) * range;
      if (static_cast<std::uint64_t>(product) <= zone)
        return static_cast<std::uint64_t>(product >> 64);
    }
  }
  std::uint32_t below32(std::uint32_t range) {
    return below32(range, (range << std::countl_zero(range)) - 1);
  }
  // Ranges of u8 reject less.
  char letter() {
    constexpr std::uint32_t kLetters = 26;
    constexpr std::uint32_t kZone = UINT32_MAX - (UINT32_MAX - kLetters + 1) % kLetters;
    return static_cast<char>('a' + below32(kLetters, kZone));
  }
  // [0, 1)
  float uniform() { return static_cast<float>(next_u32() >> 8) * 0x1p-24F; }

 private:
  static std::uint32_t pcg32(std::uint64_t& state) {
    state = state * 6364136223846793005ULL + 11634580027462260723ULL;
    const auto shifted = static_cast<std::uint32_t>(((state >> 18) ^ state) >> 27);
    return std::rotr(shifted, static_cast<int>(state >> 59));
  }
  std::uint32_t below32(std::uint32_t range, std::uint32_t zone) {
    while (true) {
      const std::uint64_t product = std::uint64_t{next_u32()} * range;
      if (static_cast<std::uint32_t>(product) <= zone)
        return static_cast<std::uint32_t>(product >> 32);
    }
  }

  std::array<std::uint64_t, 4> state_{};
};

}  // namespace tidemill::nexmark
