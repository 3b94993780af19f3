// What the last prefetch of a store found in its table, so that the look-ups that follow need not
// search again.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "state/namespace_table.h"

namespace tidemill {

// Which of the keys of the last prefetch a look-up asks for, if its caller knows.
using PlaceAhead = std::size_t;
constexpr PlaceAhead kNoPlace = std::numeric_limits<PlaceAhead>::max();

// One thread.
template <class K, class V>
class KeysAhead {
 public:
  using NsTable = NamespaceTable<K, V>;
  using T = Table<K, V>;
  using Found = typename T::Found;

  void forget() {
    table_ = nullptr;
    seen_.clear();
  }
  // Warms the cache for the keys, which are in the table by now if they are to be found.
  void look_at(const NsTable& t, std::span<const KeyRef<K>> keys) {
    seen_.resize(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i)
      seen_[i] = {keys[i].hash, t.table.prefetch_entry(keys[i].hash)};
    at_ = 0;
    table_ = &t;
    removals_ = t.table.num_removals();
  }

  // As Table::find.
  [[gnu::always_inline]] Found find(const NsTable& t, KeyView<K> key, std::uint64_t hash,
                                    PlaceAhead place) {
    if (place < seen_.size() && table_ == &t) [[likely]] {
      if (const Found found = check(t, key, seen_[place].second); found.entry != nullptr)
        return found;
    }
    return search(t, key, hash, place);
  }

 private:
  [[nodiscard]] Found check(const NsTable& t, KeyView<K> key, std::uint32_t number) const {
    if (number == T::kNone || t.table.num_removals() != removals_) return {};
    typename T::Entry& e = t.table.entry(number);
    if (T::Traits::view(e.key) != key) return {};
    return {&e, number};
  }
  // Without a place: keys that are asked for in about the same order, once or several times
  // through, are found all the same.
  [[gnu::noinline]] Found search(const NsTable& t, KeyView<K> key, std::uint64_t hash,
                                 PlaceAhead place) {
    if (place == kNoPlace && table_ == &t && !seen_.empty()) {
      // How often each is asked for is not known: those that are alike are passed at once.
      const std::uint64_t former = seen_[at_].first;
      for (int n = 0; n < kMostPassed && former != hash && seen_[at_].first == former; ++n)
        at_ = at_ + 1 == seen_.size() ? 0 : at_ + 1;
      if (seen_[at_].first == hash) {
        if (const Found found = check(t, key, seen_[at_].second); found.entry != nullptr)
          return found;
      }
    }
    return t.table.find(key, hash);
  }

  static constexpr int kMostPassed = 16;  // of a look-up

  std::vector<std::pair<std::uint64_t, std::uint32_t>> seen_;  // hash, number of the entry
  std::size_t at_ = 0;                                         // how far look-ups have come
  const NsTable* table_ = nullptr;
  std::uint64_t removals_ = 0;  // of the table: numbers hold while they stay what they were
};

}  // namespace tidemill
