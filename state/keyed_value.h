// One value per key.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "state/keyed_store.h"

namespace tidemill {

//   KeyedValue<std::string, Seen> seen_(ctx, "seen");
//   Seen& last = seen_[payment.card];
//
// One thread: the operator's. A reference stays valid until the batch ends, or until the next
// `prefetch` of the same object. `hash` is key_hash(key), which the exchange has computed already.
template <class K, class V>
class KeyedValue {
 public:
  KeyedValue(OperatorContext& ctx, const std::string& name)
      : store_(ctx, name, "value", Namespaces::kNone) {}

  // The value of the key; V{} if it has none yet. Counts as a write: the value goes into the next
  // checkpoint.
  // `place`: which of the keys of the last prefetch it is, if known; it is faster then.
  V& at(const K& key, std::uint64_t hash, PlaceAhead place = kNoPlace) {
    return store_.at(kOnly, key, hash, place);
  }
  V& operator[](const K& key) { return at(key, key_hash(key)); }

  // Null if the key has no value.
  const V* find(const K& key, std::uint64_t hash, PlaceAhead place = kNoPlace) {
    return store_.find(kOnly, key, hash, place);
  }
  const V* find(const K& key) { return find(key, key_hash(key)); }
  // The same, counted as a write if there is one.
  V* find_for_update(const K& key, std::uint64_t hash, PlaceAhead place = kNoPlace) {
    return store_.find_for_update(kOnly, key, hash, place);
  }

  // Calls fn(i, V&) for each of a batch's keys, in order, as `at` would: faster for many. Ends
  // earlier references, as `prefetch` does; what it gives stays valid likewise.
  template <class F>
  void update(std::span<const KeyRef<K>> keys, F&& fn) {
    store_.update(kOnly, keys, fn);
  }

  // True if there was a value.
  bool erase(const K& key, std::uint64_t hash, PlaceAhead place = kNoPlace) {
    return store_.erase(kOnly, key, hash, place);
  }
  bool erase(const K& key) { return erase(key, key_hash(key)); }

  // Loads the values that a batch will touch, together. Call it first in a batch: it ends the
  // validity of earlier references.
  void prefetch(std::span<const KeyRef<K>> keys) { store_.prefetch(kOnly, keys); }

  // Calls fn(const K&, hash, const V&) for each key of the group, in no particular order; with a
  // callback that takes V& each one counts as a write. The callback leaves this object alone.
  template <class F>
  void for_each_in_group(KeyGroup group, F&& fn) {
    store_.for_each(kOnly, group, fn);
  }

 private:
  static constexpr EventTime kOnly = KeyedStore<K, V>::kOnly;
  KeyedStore<K, V> store_;
};

}  // namespace tidemill
