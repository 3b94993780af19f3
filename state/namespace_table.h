// What a state object knows about one of its tables, and how its rows are laid out in the backend.
#pragma once

#include <algorithm>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "state/backend.h"
#include "state/key_encoding.h"
#include "state/prefetch.h"
#include "state/table.h"

namespace tidemill {

enum class Namespaces : std::uint8_t { kNone, kByTime };

// Where the rows of one subtask's share of one state are.
using HashRange = std::pair<std::uint64_t, std::uint64_t>;  // both ends included

struct StateLayout {
  StateId id = 0;
  Namespaces namespaces = Namespaces::kNone;
  KeyGroupRange groups;

  [[nodiscard]] Bytes prefix(EventTime ns) const {
    return namespaces == Namespaces::kNone ? key_prefix(id) : key_prefix(id, ns);
  }
  [[nodiscard]] KeyGroup group_of(std::uint64_t hash) const {
    return key_group_of(hash, groups.groups);
  }
  [[nodiscard]] KeyRange range(EventTime ns) const {
    return group_range(prefix(ns), groups.begin, groups.end, groups.groups);
  }
  [[nodiscard]] KeyRange range(EventTime ns, KeyGroup group) const {
    return group_range(prefix(ns), group, group + 1, groups.groups);
  }
  // Of the group's keys those with these hashes.
  [[nodiscard]] KeyRange range(EventTime ns, KeyGroup group, const HashRange& hashes) const {
    KeyRange rows = range(ns, group);
    const HashRange all = hashes_of(group);
    if (hashes.first > all.first) {
      rows.begin = prefix(ns);
      append_u64(rows.begin, hashes.first);
    }
    if (hashes.second < all.second) {
      rows.end = prefix(ns);
      append_u64(rows.end, hashes.second + 1);
    }
    return rows;
  }
  // Of all groups.
  [[nodiscard]] HashRange hashes() const {
    return {first_hash_of(groups.begin, groups.groups),
            first_hash_of(groups.end, groups.groups) - 1};
  }
  // The hashes of a group, both included.
  [[nodiscard]] HashRange hashes_of(KeyGroup group) const {
    return {first_hash_of(group, groups.groups), first_hash_of(group + 1, groups.groups) - 1};
  }
};

// The namespaces that have rows of this subtask; EventTime{} if there are no namespaces.
inline std::vector<EventTime> stored_namespaces(const Backend& backend, const StateLayout& layout) {
  std::vector<EventTime> found;
  const auto has_rows = [&](const KeyRange& range) {
    bool has = false;
    backend.scan(range, [&](ByteView, ByteView) {
      has = true;
      return false;
    });
    return has;
  };
  if (layout.namespaces == Namespaces::kNone) {
    if (has_rows(layout.range(EventTime{}))) found.emplace_back();
    return found;
  }
  const Bytes prefix = key_prefix(layout.id);
  Bytes next = prefix;
  for (;;) {
    std::optional<EventTime> ns;
    backend.scan({next, prefix_end(prefix)}, [&](ByteView key, ByteView) {
      ns = EventTime{unordered(ByteReader(key.substr(prefix.size())).u64())};
      return false;
    });
    if (!ns) return found;
    if (has_rows(layout.range(*ns))) found.push_back(*ns);
    next = prefix_end(layout.prefix(*ns));
  }
}

template <class K, class V>
struct NamespaceTable {
  NamespaceTable(BlockPool& pool, EventTime name, std::uint32_t epoch, HashRange owned)
      : ns(name), created(epoch), table(pool, {owned.first, owned.second}) {}

  // False once the backend may have rows that are not in the table: a miss has to ask it.
  bool is_resident = true;
  // True if the backend may have rows of this namespace: dropping it has to say so.
  bool is_stored = false;
  EventTime ns;
  std::uint32_t created;     // epoch
  std::size_t num_live = 0;  // entries that are not deleted
  // Groups whose rows in the backend are dropped, and in which epoch: the backend may not know yet.
  std::vector<std::pair<KeyGroup, std::uint32_t>> dropped;
  Table<K, V> table;
  // Parts of epochs that are not linked, of entries that have begun another since; by epoch.
  struct Former {
    Former(std::uint32_t of, BlockPool& pool) : epoch(of), parts(pool) {}
    std::uint32_t epoch;
    Table<K, V> parts;
  };
  std::list<Former> former;

  [[nodiscard]] std::size_t bytes() const {
    std::size_t all = table.bytes();
    for (const Former& f : former) all += f.parts.bytes();
    return all;
  }
  [[nodiscard]] bool is_dropped(KeyGroup group) const {
    return std::ranges::find(dropped, group, &std::pair<KeyGroup, std::uint32_t>::first) !=
           dropped.end();
  }
  // The backend shows what was staged up to this epoch.
  void forget_linked(std::uint32_t epoch) {
    std::erase_if(dropped, [&](const auto& d) { return d.second <= epoch; });
    while (!former.empty() && former.front().epoch <= epoch) former.pop_front();
  }
  // Forgets what was kept of keys with these hashes.
  void drop_former(std::uint64_t first, std::uint64_t last) {
    for (Former& f : former) {
      std::vector<std::uint32_t> numbers;
      f.parts.for_each_in_range(
          first, last, [&](std::uint32_t number, auto& /*entry*/) { numbers.push_back(number); });
      for (const std::uint32_t number : numbers)
        f.parts.remove(number, f.parts.hash_of(f.parts.entry(number)));
    }
  }
  // Again for one that was dropped before: the backend may know of the former time only.
  void note_dropped(KeyGroup group, std::uint32_t epoch) {
    const auto it = std::ranges::find(dropped, group, &std::pair<KeyGroup, std::uint32_t>::first);
    if (it == dropped.end()) {
      dropped.emplace_back(group, epoch);
    } else {
      it->second = epoch;
    }
  }
};

template <class K, class V>
using Tables =
    std::map<EventTime, std::shared_ptr<NamespaceTable<K, V>>>;  // shared with the drain, which may
                                                                 // still need a dropped one

// Writes entries as rows of a run.
template <class K, class V>
class RowEncoder {
 public:
  using Entry = typename Table<K, V>::Entry;

  RowEncoder(const StateLayout& layout, EventTime ns)
      : key_(layout.prefix(ns)), prefix_size_(key_.size()) {}

  [[nodiscard]] ByteView key(KeyView<K> key, std::uint64_t hash) {
    key_.resize(prefix_size_);
    append_u64(key_, hash);
    Codec<K>::encode(key_, key);
    return key_;
  }
  void append(SortedRun& run, const Entry& e, std::uint64_t hash) {
    const ByteView k = key(KeyTraits<K>::view(e.key), hash);
    if (e.has(Table<K, V>::kDeleted)) {
      run.erase(k);
    } else {
      value_.clear();
      Codec<V>::encode(value_, e.value);
      e.has(Table<K, V>::kPart) ? run.put_part(k, value_) : run.put(k, value_);
    }
  }

 private:
  Bytes key_;
  const std::size_t prefix_size_;
  Bytes value_;
};

// Appends the rows of sorted notes that are still current, beginning at `at`, in key order, at most
// about `max_rows`; returns where to go on. Calls done(entry) for each.
template <class K, class V, class Done>
std::size_t append_noted(SortedRun& run, RowEncoder<K, V>& encoder, const Table<K, V>& table,
                         const std::vector<std::uint64_t>& notes, std::size_t at,
                         std::size_t max_rows, std::uint32_t epoch, Done&& done) {
  constexpr std::size_t kAhead = 8;
  const std::size_t start = at;
  while (at < notes.size() && at - start < max_rows) {
    if (at + kAhead < notes.size()) prefetch_line(table.address(notes[at + kAhead]));
    std::size_t end = at + 1;
    while (end < notes.size() && notes[end] >> 32 == notes[at] >> 32) ++end;
    if (end - at == 1) {
      if (table.is_current(notes[at], epoch)) {
        auto& e = table.entry(static_cast<std::uint32_t>(notes[at]));
        encoder.append(run, e, table.hash_of(e));
        done(e);
      }
    } else {
      // Hashes that agree in 32 bits, or a key that was erased and made again: the order of the
      // rest decides.
      SortedRun same;
      for (; at < end; ++at) {
        if (!table.is_current(notes[at], epoch)) continue;
        auto& e = table.entry(static_cast<std::uint32_t>(notes[at]));
        encoder.append(same, e, table.hash_of(e));
        done(e);
      }
      same.sort_rows();
      run.append(same);
    }
    at = end;
  }
  return at;
}

}  // namespace tidemill
