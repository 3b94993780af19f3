// The entries of a table that were touched last, by hash: a small cache in front of the index, for
// streams in which few keys at a time make most of the records.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "state/table.h"

namespace tidemill {

// One thread. Whether it pays is seen from batch to batch: where keys do not come again soon it is
// left off, for longer and longer.
template <class K, class V>
class RecentEntries {
 public:
  using Found = typename Table<K, V>::Found;

  // Whether a batch should be looked for here. Forgets what may have moved: entries stay where they
  // are until one is removed.
  [[nodiscard]] bool begin(const Table<K, V>& table) {
    if (pause_ > 0) {
      --pause_;
      return false;
    }
    if (table_ != &table || removals_ != table.num_removals()) {
      places_.assign(kPlaces, {});
      table_ = &table;
      removals_ = table.num_removals();
    }
    return true;
  }
  // To be called when the table is gone.
  void forget() { table_ = nullptr; }

  // As Table::find_each.
  template <class OnMiss, class F>
  [[gnu::always_inline]] void find_each(std::span<const KeyRef<K>> keys, OnMiss&& on_miss, F&& fn) {
    std::size_t misses = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const KeyView<K> key = *keys[i].key;
      const std::uint64_t hash = keys[i].hash;
      Found& found = places_[place_of(hash)];
      if (found.entry == nullptr || KeyTraits<K>::view(found.entry->key) != key) {
        ++misses;
        found = on_miss(key, hash);
      }
      fn(i, found);
    }
    if (!keys.empty()) end(misses, keys.size());
  }
  // The key's entry, if it is here; null otherwise.
  [[gnu::always_inline]] [[nodiscard]] Found peek(KeyView<K> key, std::uint64_t hash) const {
    const Found found = places_[place_of(hash)];
    return found.entry != nullptr && KeyTraits<K>::view(found.entry->key) == key ? found : Found{};
  }
  // `entry` need not be the key's: `peek` looks.
  void put(std::uint64_t hash, Found entry) { places_[place_of(hash)] = entry; }
  // After a batch of `keys`, of which so many were not here.
  void end(std::size_t misses, std::size_t keys) {
    const auto num_keys = static_cast<double>(keys);
    // Of an operator with two inputs one may have few keys, all of them new.
    const double weight = std::min(num_keys / kKeysOfLate, kMostWeight);
    miss_share_ += (static_cast<double>(misses) / num_keys - miss_share_) * weight;
    if (miss_share_ > kMostMisses) {
      pause_ = next_pause_;
      next_pause_ = std::min(next_pause_ * 2, kLongestPause);
      miss_share_ = 0;
    } else if (misses * 8 < keys) {
      next_pause_ = kShortestPause;
    }
  }

 private:
  static std::size_t place_of(std::uint64_t hash) {
    return static_cast<std::size_t>(hash >> kShift) % kPlaces;
  }

  static constexpr std::size_t kPlaces = 1024;  // 16 KiB
  static constexpr double kMostMisses = 0.25;
  static constexpr double kKeysOfLate = 8192;
  static constexpr double kMostWeight = 0.125;  // of a batch
  static constexpr int kShift = 8;              // the lowest bits of a hash may be the weakest
  static constexpr int kShortestPause = 16;
  static constexpr int kLongestPause = 512;

  std::vector<Found> places_;  // empty until it is of use
  const Table<K, V>* table_ = nullptr;
  std::uint64_t removals_ = 0;
  double miss_share_ = 0;  // of the keys of late; forgiving at first, when all of them are new
  int pause_ = 0;          // batches until it is tried again
  int next_pause_ = kShortestPause;
};

}  // namespace tidemill
