// One value per key and namespace, where a namespace is an instant: the end of a window or slice.
// Each has its own table, so closing a window drops a table instead of deleting keys.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "state/keyed_store.h"

namespace tidemill {

// One thread: the operator's. References: as KeyedValue.
template <class K, class V>
class WindowedValue {
 public:
  WindowedValue(OperatorContext& ctx, const std::string& name)
      : store_(ctx, name, "windowed", Namespaces::kByTime) {}

  // The value of the key in namespace `ns`; V{} if it has none yet. Counts as a write.
  // `place`: which of the keys of the last prefetch it is, which was of `ns`, if known.
  V& at(EventTime ns, const K& key, std::uint64_t hash, PlaceAhead place = kNoPlace) {
    return store_.at(ns, key, hash, place);
  }
  const V* find(EventTime ns, const K& key, std::uint64_t hash, PlaceAhead place = kNoPlace) {
    return store_.find(ns, key, hash, place);
  }
  V* find_for_update(EventTime ns, const K& key, std::uint64_t hash) {
    return store_.find_for_update(ns, key, hash);
  }
  // Calls fn(i, V&) for each of a batch's keys, in order, as `at` would: faster for many.
  template <class F>
  void update(EventTime ns, std::span<const KeyRef<K>> keys, F&& fn) {
    store_.update(ns, keys, fn);
  }
  // The same, for a callback that only adds to what it is given: that may be what was added lately,
  // without the rest, which then is not read (V::merge puts them together). Faster where the state
  // is larger than its memory.
  template <class F>
  void accumulate(EventTime ns, std::span<const KeyRef<K>> keys, F&& fn) {
    store_.accumulate(ns, keys, fn);
  }
  bool erase(EventTime ns, const K& key, std::uint64_t hash) { return store_.erase(ns, key, hash); }
  void prefetch(EventTime ns, std::span<const KeyRef<K>> keys) { store_.prefetch(ns, keys); }

  // True if `find` reads nothing, whichever key of the namespace it is asked for.
  [[nodiscard]] bool is_in_memory(EventTime ns) { return store_.is_in_memory(ns); }

  // The namespaces of this subtask that hold something, in order; also right after a restore.
  [[nodiscard]] std::vector<EventTime> namespaces() const { return store_.namespaces(); }

  // Calls fn(const K&, hash, const V&) for each key of the group in `ns`, in no particular order;
  // with a callback that takes V& each one counts as a write. The callback leaves this object
  // alone.
  template <class F>
  void for_each(EventTime ns, KeyGroup group, F&& fn) {
    store_.for_each(ns, group, fn);
  }

  // What its owner holds in memory besides, charged as if it were here.
  void charge_besides(std::size_t bytes) { store_.charge_besides(bytes); }

  // Forgets everything in `ns`, or the keys of one group in it.
  void drop(EventTime ns) { store_.drop(ns); }
  void drop(EventTime ns, KeyGroup group) { store_.drop(ns, group); }

 private:
  KeyedStore<K, V> store_;
};

}  // namespace tidemill
