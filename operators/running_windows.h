// The contents of overlapping windows, each from the one before: a window then costs what it gives
// out, however many slices it has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "engine/operator/key_group.h"
#include "operators/accumulator.h"
#include "operators/window.h"

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

// For accumulators that slices can be taken out of again. Derived from the slices: whoever keeps
// these forgets a group when its closed slices change. One thread.
template <class Key, class A>
class RunningWindows {
 public:
  explicit RunningWindows(KeyGroupRange groups) : groups_(groups) {}

  // Calls give_out(key, hash, content) for each key of the group that the window holds. `visit`:
  // (after, until, fn) calls fn(key, hash, content) for each of its slices with an end in (after,
  // until]. Windows are closed in order, each while all its slices are there.
  template <class Visit, class GiveOut>
  void close(KeyGroup group, const Window& window, Duration slide, Visit&& visit,
             GiveOut&& give_out) requires Evictable<A> {
    if (of_group_.empty()) of_group_.resize(groups_.size());
    OfGroup& known = of_group_[group - groups_.begin];
    if (known.start != window.start) known = {window.start, window.start, {}};
    visit(known.end, window.end, [&](const Key& key, std::uint64_t hash, const A& a) {
      const auto [entry, is_new] = known.totals.try_emplace({key, hash}, Total{a, 1});
      if (is_new) return;
      entry->second.content.merge(a);
      ++entry->second.slices;
    });
    for (const auto& [key, total] : known.totals) give_out(key.key, key.hash, total.content);
    // What the next window will not hold leaves now, while it is still there.
    known.start = window.start + slide;
    known.end = window.end;
    visit(window.start, known.start, [&](const Key& key, std::uint64_t hash, const A& a) {
      const auto entry = known.totals.find({key, hash});
      if (--entry->second.slices == 0) {
        known.totals.erase(entry);
      } else {
        evict_from(entry->second.content, a);
      }
    });
  }

  // The next window of the group is made of its slices anew.
  void forget(KeyGroup group) {
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

}  // namespace tidemill
