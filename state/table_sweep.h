// Makes tables smaller when the process holds more than its budget: drops what the backend has
// anyway, coldest first, and if too little of that is there, spills changed entries so that it
// becomes so.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "state/epochs.h"
#include "state/namespace_table.h"

namespace tidemill {

// One thread. Called between batches only: references into the tables end here.
template <class K, class V>
class TableSweep {
 public:
  TableSweep(Backend& backend, Epochs& epochs, const StateLayout& layout, Tables<K, V>& tables)
      : backend_(backend), epochs_(epochs), layout_(layout), tables_(tables) {}

  // Tries to free `wanted` bytes, with a bounded amount of work. `deleted` are deletions that the
  // backend has to see before any row that is spilled; emptied if something is.
  void give_back(std::size_t wanted, std::size_t own, std::vector<KeyRange>& deleted) {
    Seen seen = evict(wanted);
    if (seen.freed >= wanted || seen.changed <= seen.referenced || epochs_.is_holding()) return;
    spill(std::clamp(own / 8, std::min(wanted * 2, kLeastSpill), kMostSpill), deleted);
    evict(wanted - seen.freed);
  }

 private:
  using T = Table<K, V>;
  using Entry = typename T::Entry;
  static constexpr std::size_t kLeastSpill = std::size_t{1} << 20;
  static constexpr std::size_t kMostSpill = std::size_t{2} << 20;
  static constexpr std::size_t kMostExamined = 32768;  // entries in one call: about a millisecond

  struct Seen {
    std::size_t freed = 0;
    std::size_t examined = 0;
    std::size_t referenced = 0;  // got a second chance
    std::size_t changed = 0;     // cannot go before they are stored
  };

  // Goes on around the clock, chunk by chunk, where the last call ended.
  Seen evict(std::size_t wanted) {
    Seen seen;
    const bool is_fragmented = backend_.budget().is_fragmented();
    for (std::size_t rounds = 0;
         seen.freed < wanted && seen.examined < kMostExamined && rounds <= tables_.size();) {
      auto it = tables_.lower_bound(clock_ns_);
      if (it == tables_.end() || clock_chunk_ >= it->second->table.num_chunks()) {
        if (it != tables_.end()) ++it;
        clock_ns_ = it == tables_.end() ? EventTime::min() : it->first;
        clock_chunk_ = 0;
        ++rounds;
        continue;
      }
      clock_ns_ = it->first;
      evict_chunk(*it->second, clock_chunk_++, is_fragmented, seen);
    }
    return seen;
  }

  void evict_chunk(NamespaceTable<K, V>& t, std::size_t chunk, bool is_fragmented, Seen& seen) {
    const std::size_t before = t.table.bytes();
    const bool is_second_chance = !(is_fragmented && t.table.is_sparse(chunk));
    t.table.for_each_in_chunk(chunk, [&](std::uint32_t number, Entry& e) {
      ++seen.examined;
      if (e.epoch > epochs_.linked()) {
        ++seen.changed;
      } else if (is_second_chance && e.has(T::kReferenced)) {
        e.clear(T::kReferenced);
        ++seen.referenced;
      } else {
        if (!e.has(T::kDeleted)) {
          t.is_resident = false;
          --t.num_live;
        }
        const std::uint64_t hash = T::hash_of(e);
        t.table.prefetch_slot(hash);  // anywhere in the index
        evicted_.emplace_back(number, hash);
      }
    });
    for (const auto& [number, hash] : evicted_) t.table.remove(number, hash);
    evicted_.clear();
    if (t.table.size() == 0) t.table.index().clear();
    seen.freed += before - std::min(before, t.table.bytes());
  }

  // Writes about `wanted` bytes of changed entries to the backend, in key order, going on where the
  // last call ended.
  void spill(std::size_t wanted, std::vector<KeyRange>& deleted) {
    SortedRun run;
    for (KeyRange& range : deleted) run.erase_range(std::move(range));
    deleted.clear();
    for (const auto& entry : tables_) entry.second->dropped.clear();

    std::vector<Entry*> spilled;
    auto it = tables_.lower_bound(spill_ns_);
    std::uint64_t hash = it != tables_.end() && it->first == spill_ns_ ? spill_hash_ : 0;
    while (it != tables_.end() && run.bytes() < wanted) {
      hash = spill_table(*it->second, hash, wanted, run, spilled);
      if (hash == 0) ++it;
    }
    spill_ns_ = it == tables_.end() ? EventTime::min() : it->first;
    spill_hash_ = hash;
    if (!run.empty()) backend_.spill(run);
    for (Entry* e : spilled) {
      e->epoch = 0;
      e->clear(T::kCopied);
      e->set(T::kStored);
    }
  }
  // Returns the hash to go on at; 0: the whole table is done.
  std::uint64_t spill_table(NamespaceTable<K, V>& t, std::uint64_t hash, std::size_t wanted,
                            SortedRun& run, std::vector<Entry*>& spilled) {
    if (t.table.changed_epoch() != epochs_.current()) return 0;
    RowEncoder<K, V> encoder(layout_, t.ns);
    do {
      HashIndex::Segment& s = t.table.index().segment(hash);
      const std::vector<std::uint64_t> notes = s.take_changes(epochs_.current());
      append_noted(run, encoder, t.table, notes, 0, notes.size(), epochs_.current(), [&](Entry& e) {
        e.set(T::kCopied);  // so that a second note of it is passed over
        spilled.push_back(&e);
      });
      if (!notes.empty()) t.is_stored = true;
      hash = HashIndex::end_hash(s);
    } while (hash != 0 && run.bytes() < wanted);
    return hash;
  }

  Backend& backend_;
  Epochs& epochs_;
  const StateLayout& layout_;
  Tables<K, V>& tables_;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> evicted_;  // number, hash; of one chunk
  EventTime clock_ns_ = EventTime::min();
  std::size_t clock_chunk_ = 0;
  EventTime spill_ns_ = EventTime::min();
  std::uint64_t spill_hash_ = 0;
};

}  // namespace tidemill
