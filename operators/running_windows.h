// The contents of overlapping windows, each from the one before: a window then costs what it gives
// out, however many slices it has.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "engine/operator/key_group.h"
#include "operators/accumulator.h"
#include "operators/window.h"
#include "state/memory_size.h"

namespace tidemill {

template <class Key>
struct HashedKey {
  Key key;
  std::uint64_t hash;

  friend bool operator==(const HashedKey& x, const HashedKey& y) {
    return x.hash == y.hash && x.key == y.key;
  }
  struct Hash {
    std::size_t operator()(const HashedKey& of) const { return static_cast<std::size_t>(of.hash); }
  };
};

// Both kinds below are derived from the slices: whoever keeps these tells them of closed slices
// that change. One thread.
//
// `visit`: (after, until, fn) calls fn(slice end, key, hash, content) for each of the group's
// slices with an end in (after, until], by their ends. Windows are closed in order, each while all
// its slices are there; give_out(key, hash, content) is called for each key that the window holds.

// For accumulators that slices can be taken out of again: one total of each key.
template <class Key, class A>
class SubtractedWindows {
 public:
  explicit SubtractedWindows(KeyGroupRange groups) : groups_(groups) {}

  template <class Visit, class GiveOut>
  void close(KeyGroup group, const Window& window, Duration slide, Visit&& visit,
             GiveOut&& give_out) {
    if (of_group_.empty()) of_group_.resize(groups_.size());
    OfGroup& known = of_group_[group - groups_.begin];
    if (known.start != window.start) known = {window.start, window.start, {}};
    visit(known.end, window.end, [&](EventTime, const Key& key, std::uint64_t hash, const A& a) {
      const auto [entry, is_new] = known.totals.try_emplace({key, hash}, Total{a, 1});
      if (is_new) return;
      entry->second.content.merge(a);
      ++entry->second.slices;
    });
    for (const auto& [key, total] : known.totals) give_out(key.key, key.hash, total.content);
    // What the next window will not hold leaves now, while it is still there.
    known.start = window.start + slide;
    known.end = window.end;
    visit(window.start, known.start,
          [&](EventTime, const Key& key, std::uint64_t hash, const A& a) {
            const auto entry = known.totals.find({key, hash});
            if (--entry->second.slices == 0) {
              known.totals.erase(entry);
            } else {
              evict_from(entry->second.content, a);
            }
          });
  }

  // A closed slice of the group has changed: its next window is made of its slices anew.
  void forget(KeyGroup group, EventTime /*slice_end*/) {
    if (!of_group_.empty()) of_group_[group - groups_.begin] = {};
  }

  // In bytes, without what the values themselves own.
  [[nodiscard]] std::size_t memory() const {
    std::size_t bytes = 0;
    for (const OfGroup& known : of_group_)
      bytes += known.totals.bucket_count() * (sizeof(HashedKey<Key>) + sizeof(Total) + 1);
    return bytes;
  }

 private:
  struct Total {
    A content;
    std::uint32_t slices;  // that it is of
  };
  // What the slices with an end in (start, end] have of each key.
  struct OfGroup {
    EventTime start = EventTime::min();
    EventTime end = EventTime::min();
    boost::unordered_flat_map<HashedKey<Key>, Total, typename HashedKey<Key>::Hash> totals;
  };

  const KeyGroupRange groups_;
  std::vector<OfGroup> of_group_;
};

// For all others: two stacks (Tangwongsan, Hirzel, Schneider, DEBS 2017). The older slices of each
// key are kept as what each one and all behind it up to `middle` make together, so that the oldest
// can leave; the younger ones are one total. A window merges two contents a key, and once for all
// its slices, when the last of the older ones has left, each slice with its neighbour.
template <class Key, class A>
class StackedWindows {
 public:
  explicit StackedWindows(KeyGroupRange groups) : groups_(groups) {}

  template <class Visit, class GiveOut>
  void close(KeyGroup group, const Window& window, Duration slide, Visit&& visit,
             GiveOut&& give_out) {
    if (of_group_.empty()) of_group_.resize(groups_.size());
    OfGroup& known = of_group_[group - groups_.begin];
    if (known.start != window.start || known.middle <= window.start) {
      stack_all(known, window, visit);
    } else {
      add_young(known, window, visit);
    }
    for (auto it = known.keys.begin(); it != known.keys.end();) {
      const auto entry = it++;
      Stacks& stacks = entry->second;
      while (!stacks.old.empty() && stacks.old.back().slice_end <= window.start)
        stacks.old.pop_back();
      const HashedKey<Key>& key = entry->first;
      if (!stacks.old.empty() && stacks.young) {
        A content = stacks.old.back().content;
        content.merge(*stacks.young);
        give_out(key.key, key.hash, content);
      } else if (!stacks.old.empty()) {
        give_out(key.key, key.hash, stacks.old.back().content);
      } else if (stacks.young) {
        give_out(key.key, key.hash, *stacks.young);
      } else {
        known.keys.erase(entry);
      }
    }
    known.start = window.start + slide;
    known.end = window.end;
  }

  // A closed slice of the group has changed: the stack that holds it is made anew.
  void forget(KeyGroup group, EventTime slice_end) {
    if (of_group_.empty()) return;
    OfGroup& known = of_group_[group - groups_.begin];
    if (slice_end > known.middle) {
      known.is_young_stale = true;
    } else {
      known = {};
    }
  }

  // In bytes; of what the values themselves own as much as when the older slices were stacked.
  [[nodiscard]] std::size_t memory() const {
    std::size_t bytes = 0;
    for (const OfGroup& known : of_group_) {
      bytes += known.keys.bucket_count() * (sizeof(HashedKey<Key>) + sizeof(Stacks) + 1);
      bytes += known.stacked_bytes;
    }
    return bytes;
  }

 private:
  struct Part {
    EventTime slice_end;
    A content;  // of this slice and all behind it up to the middle
  };
  struct Stacks {
    std::vector<Part> old;   // the oldest is the last
    std::optional<A> young;  // of the slices behind the middle
  };
  // Of the slices with an end in (start, end].
  struct OfGroup {
    EventTime start = EventTime::min();
    EventTime middle = EventTime::min();
    EventTime end = EventTime::min();
    bool is_young_stale = false;
    std::size_t stacked_bytes = 0;
    boost::unordered_flat_map<HashedKey<Key>, Stacks, typename HashedKey<Key>::Hash> keys;
  };

  template <class Visit>
  static void stack_all(OfGroup& known, const Window& window, Visit& visit) {
    for (auto& [_, stacks] : known.keys) {
      stacks.old.clear();
      stacks.young.reset();
    }
    known.middle = window.end;
    known.is_young_stale = false;
    known.stacked_bytes = 0;
    visit(window.start, window.end,
          [&](EventTime slice_end, const Key& key, std::uint64_t hash, const A& a) {
            known.keys[{key, hash}].old.push_back({slice_end, a});
          });
    for (auto& [_, stacks] : known.keys) {
      std::vector<Part>& old = stacks.old;
      for (std::size_t i = old.size(); i > 1; --i) old[i - 2].content.merge(old[i - 1].content);
      std::reverse(old.begin(), old.end());
      known.stacked_bytes += old.capacity() * sizeof(Part);
      if constexpr (kHasHeap<A>) {
        for (const Part& part : old) known.stacked_bytes += memory_size(part.content);
      }
    }
  }

  template <class Visit>
  static void add_young(OfGroup& known, const Window& window, Visit& visit) {
    if (known.is_young_stale) {
      for (auto& [_, stacks] : known.keys) stacks.young.reset();
      known.is_young_stale = false;
      known.end = known.middle;
    }
    visit(known.end, window.end, [&](EventTime, const Key& key, std::uint64_t hash, const A& a) {
      std::optional<A>& young = known.keys[{key, hash}].young;
      if (young) {
        young->merge(a);
      } else {
        young = a;
      }
    });
  }

  const KeyGroupRange groups_;
  std::vector<OfGroup> of_group_;
};

// Whether windows of A are worth carrying on: what is stacked would else be many times the slices.
template <class A>
inline constexpr bool kCanCarryWindows = Evictable<A> || BoundedSize<A>;

template <class Key, class A>
using RunningWindows =
    std::conditional_t<Evictable<A>, SubtractedWindows<Key, A>, StackedWindows<Key, A>>;

}  // namespace tidemill
