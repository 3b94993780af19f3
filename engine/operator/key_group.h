// Key -> key group -> subtask: the only place that knows. A key group is a fixed share of the key
// space (the top bits of the key's hash) and the unit of rescaling; its number is fixed for the
// life of a job.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tidemill {

using KeyGroup = std::uint32_t;
inline constexpr std::uint32_t kDefaultKeyGroups = 128;

// Maps the hash range evenly onto `groups` groups, so that a group is a contiguous range of hashes.
constexpr KeyGroup key_group_of(std::uint64_t hash, std::uint32_t groups) {
  return static_cast<KeyGroup>((static_cast<unsigned __int128>(hash) * groups) >> 64);
}
// The smallest hash of a group; for group == groups the answer is 0 (one past the end wraps).
constexpr std::uint64_t first_hash_of(KeyGroup group, std::uint32_t groups) {
  // ceil(group * 2^64 / groups)
  const unsigned __int128 numerator = (static_cast<unsigned __int128>(group) << 64) + groups - 1;
  return static_cast<std::uint64_t>(numerator / groups);
}
// Spreads evenly mixed numbers over the hashes of a group: for entries that share a key, so that
// they do not share its hash as well.
constexpr std::uint64_t hash_within(KeyGroup group, std::uint32_t groups, std::uint64_t mixed) {
  const std::uint64_t first = first_hash_of(group, groups);
  const std::uint64_t width = first_hash_of(group + 1, groups) - first;  // 0: all of them
  if (width == 0) return mixed;
  return first + static_cast<std::uint64_t>((static_cast<unsigned __int128>(mixed) * width) >> 64);
}
constexpr int subtask_of(KeyGroup group, std::uint32_t groups, int parallelism) {
  return static_cast<int>(static_cast<std::uint64_t>(group) *
                          static_cast<std::uint64_t>(parallelism) / groups);
}

// The half-open range of groups that one subtask owns.
struct KeyGroupRange {
  KeyGroup begin = 0;
  KeyGroup end = 0;
  std::uint32_t groups = kDefaultKeyGroups;

  [[nodiscard]] constexpr bool contains(KeyGroup group) const {
    return group >= begin && group < end;
  }
  [[nodiscard]] constexpr std::size_t size() const { return end - begin; }
};

constexpr KeyGroupRange key_groups_of(int subtask, int parallelism, std::uint32_t groups) {
  const auto first = [&](std::uint64_t s) {
    return static_cast<KeyGroup>((s * groups + static_cast<std::uint64_t>(parallelism) - 1) /
                                 static_cast<std::uint64_t>(parallelism));
  };
  return {first(static_cast<std::uint64_t>(subtask)),
          first(static_cast<std::uint64_t>(subtask) + 1), groups};
}

}  // namespace tidemill
