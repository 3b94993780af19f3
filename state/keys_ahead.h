// What the last prefetch of a store found in its table, so that the look-ups that follow need not
// search again.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "state/namespace_table.h"
#include "state/recent_entries.h"

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
    begin(t, keys.size());
    for (const KeyRef<K>& key : keys) t.table.prefetch_slot(key.hash);
    for (std::size_t i = 0; i < keys.size(); ++i) seen_[i] = {keys[i].hash, guess(t, keys[i].hash)};
  }
  // The same where most of the keys may be among the recent ones, of which `begin` was asked.
  void look_at(const NsTable& t, std::span<const KeyRef<K>> keys, RecentEntries<K, V>& recent) {
    begin(t, keys.size());
    others_.resize(keys.size());
    std::size_t num_others = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const std::uint64_t hash = keys[i].hash;
      seen_[i] = {hash, recent.peek(*keys[i].key, hash)};
      if (seen_[i].found.entry != nullptr) [[likely]]
        continue;
      t.table.prefetch_slot(hash);
      others_[num_others++] = static_cast<std::uint32_t>(i);
    }
    std::size_t num_new = 0;
    for (const std::uint32_t i : std::span(others_).first(num_others)) {
      Seen& seen = seen_[i];
      seen.found = recent.peek(*keys[i].key, seen.hash);
      if (seen.found.entry != nullptr) continue;  // another one of the batch was the first
      ++num_new;
      seen.found = guess(t, seen.hash);
      if (seen.found.entry != nullptr) recent.put(seen.hash, seen.found);
    }
    if (!keys.empty()) recent.end(num_new, keys.size());
  }

  // The entry of a key of the namespace that was looked at; null if it is not where it was.
  [[gnu::always_inline]] [[nodiscard]] Found at(EventTime ns, KeyView<K> key,
                                                PlaceAhead place) const {
    if (place >= seen_.size() || table_ == nullptr || table_->ns != ns) return {};
    return check(*table_, key, seen_[place].found);
  }
  // As Table::find.
  [[gnu::always_inline]] Found find(const NsTable& t, KeyView<K> key, std::uint64_t hash,
                                    PlaceAhead place) {
    if (place < seen_.size() && table_ == &t) [[likely]] {
      if (const Found found = check(t, key, seen_[place].found); found.entry != nullptr)
        return found;
    }
    return search(t, key, hash, place);
  }

 private:
  struct Seen {
    std::uint64_t hash = 0;
    Found found;  // most likely
  };

  void begin(const NsTable& t, std::size_t num_keys) {
    seen_.resize(num_keys);
    at_ = 0;
    table_ = &t;
    removals_ = t.table.num_removals();
  }
  static Found guess(const NsTable& t, std::uint64_t hash) {
    const std::uint32_t number = t.table.prefetch_entry(hash);
    return number == T::kNone ? Found{} : Found{&t.table.entry(number), number};
  }
  [[gnu::always_inline]] [[nodiscard]] Found check(const NsTable& t, KeyView<K> key,
                                                   const Found& found) const {
    if (found.entry == nullptr) return {};
    if (t.table.num_removals() != removals_) [[unlikely]]
      return check_moved(t, key, found.number);
    return T::Traits::view(found.entry->key) == key ? found : Found{};
  }
  // The same once entries have gone: a number may be another one's, in another place.
  [[gnu::noinline]] static Found check_moved(const NsTable& t, KeyView<K> key,
                                             std::uint32_t number) {
    if (!t.table.is_used(number)) return {};
    typename T::Entry& e = t.table.entry(number);
    return T::Traits::view(e.key) == key ? Found{&e, number} : Found{};
  }
  // Without a place: keys that are asked for in about the same order, once or several times
  // through, are found all the same.
  [[gnu::noinline]] Found search(const NsTable& t, KeyView<K> key, std::uint64_t hash,
                                 PlaceAhead place) {
    if (place == kNoPlace && table_ == &t && !seen_.empty()) {
      // How often each is asked for is not known: those that are alike are passed at once.
      const std::uint64_t former = seen_[at_].hash;
      for (int n = 0; n < kMostPassed && former != hash && seen_[at_].hash == former; ++n)
        at_ = at_ + 1 == seen_.size() ? 0 : at_ + 1;
      if (seen_[at_].hash == hash) {
        if (const Found found = check(t, key, seen_[at_].found); found.entry != nullptr)
          return found;
      }
    }
    return t.table.find(key, hash);
  }

  static constexpr int kMostPassed = 16;  // of a look-up

  std::vector<Seen> seen_;
  std::vector<std::uint32_t> others_;  // of them: those that were not among the recent ones
  std::size_t at_ = 0;                 // how far look-ups have come
  const NsTable* table_ = nullptr;
  std::uint64_t removals_ = 0;  // of the table: entries stay where they are while these do
};

}  // namespace tidemill
