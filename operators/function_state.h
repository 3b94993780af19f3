// The states of a process function: each call sees those of the key in progress. All of them may
// expire (Ttl, operators/expiring_store.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "operators/accumulator.h"
#include "operators/expiring_store.h"
#include "operators/state_context.h"

namespace tidemill {

// One value per key.
template <class K, class V>
class ValueState final : public FunctionState<K> {
 public:
  // Called with the key, what it had, and when that expired; may emit. The key is in progress.
  using OnExpiry = std::function<void(const K&, V&, EventTime)>;

  ValueState(StateContext<K>& state, const std::string& name, std::optional<Ttl> ttl = std::nullopt,
             OnExpiry on_expiry = {})
      : current_(state.current()),
        values_(state.operator_context(), name, "value", ttl, std::move(on_expiry)) {
    state.add(*this);
  }
  ValueState(const ValueState&) = delete;
  ValueState& operator=(const ValueState&) = delete;

  // Null if there is none.
  const V* find() { return values_.find(*current_.key, current_.hash, current_, current_.place); }
  // V{} if there is none yet; counts as a write. Valid until the call ends.
  V& value() { return values_.at(*current_.key, current_.hash, current_, current_.place); }
  void set(V value) { this->value() = std::move(value); }
  // True if there was one.
  bool clear() { return values_.erase(*current_.key, current_.hash, current_); }

  void prefetch(std::span<const KeyRef<K>> keys) override { values_.prefetch(keys); }
  Progress expire(TimeDomain clock, EventTime until, std::size_t budget) override {
    return values_.expire(clock, until, budget, [this](const K& key, std::uint64_t hash) {
      current_.key = &key;
      current_.hash = hash;
    });
  }

 private:
  KeyInProgress<K>& current_;
  ExpiringStore<K, V> values_;
};

// A list per key, in the order of the appends. It expires as a whole.
template <class K, class E>
class ListState {
 public:
  using OnExpiry = typename ValueState<K, std::vector<E>>::OnExpiry;

  ListState(StateContext<K>& state, const std::string& name, std::optional<Ttl> ttl = std::nullopt,
            OnExpiry on_expiry = {})
      : list_(state, name, ttl, std::move(on_expiry)) {}

  void append(E element) { list_.value().push_back(std::move(element)); }
  // Null if it is empty.
  const std::vector<E>* find() { return list_.find(); }
  void clear() { list_.clear(); }

 private:
  ValueState<K, std::vector<E>> list_;
};

// One value per key that takes what is added by `reduce(kept, added)`: Reduce: V(const V&, const
// V&).
template <class K, class V, class Reduce>
class ReducingState {
 public:
  using OnExpiry = typename ValueState<K, V>::OnExpiry;

  ReducingState(StateContext<K>& state, const std::string& name, Reduce reduce,
                std::optional<Ttl> ttl = std::nullopt, OnExpiry on_expiry = {})
      : value_(state, name, ttl, std::move(on_expiry)), reduce_(std::move(reduce)) {}

  void add(const V& added) {
    const V* kept = value_.find();
    value_.set(kept == nullptr ? added : std::invoke(reduce_, *kept, added));
  }
  // Null if nothing has been added.
  const V* find() { return value_.find(); }
  void clear() { value_.clear(); }

 private:
  ValueState<K, V> value_;
  Reduce reduce_;
};

// An accumulator per key (operators/accumulator.h).
template <class K, class A>
class AggregatingState {
 public:
  using OnExpiry = typename ValueState<K, A>::OnExpiry;

  AggregatingState(StateContext<K>& state, const std::string& name,
                   std::optional<Ttl> ttl = std::nullopt, OnExpiry on_expiry = {})
      : current_(state.current()), accumulator_(state, name, ttl, std::move(on_expiry)) {}

  template <class T>
  requires Accumulator<A, T>
  void add(const T& value) { add_to(accumulator_.value(), value, Stamp{current_.time}); }
  // Of nothing: what A{} gives.
  [[nodiscard]] auto result() {
    const A* kept = accumulator_.find();
    return kept == nullptr ? result_of(A{}) : result_of(*kept);
  }
  void clear() { accumulator_.clear(); }

 private:
  const KeyInProgress<K>& current_;
  ValueState<K, A> accumulator_;
};

// An entry of a key's map; `hash` says where it is stored.
template <class K, class M>
struct MapEntryKey {
  K key{};
  M item{};
  std::uint64_t hash = 0;

  friend bool operator==(const MapEntryKey&, const MapEntryKey&) = default;
  friend bool operator<(const MapEntryKey& a, const MapEntryKey& b) {
    return std::tie(a.key, a.item) < std::tie(b.key, b.item);
  }
  BOOST_DESCRIBE_CLASS(MapEntryKey, (), (key, item, hash), (), ())
};
template <class K, class M>
struct KeyHash<MapEntryKey<K, M>> {
  static std::uint64_t of(const MapEntryKey<K, M>& entry) { return entry.hash; }
};

// A map per key, in the order of M's `<`. Each entry is stored, changed and expires by itself; an
// entry is asked for by one look-up, all of a key's by one scan.
template <class K, class M, class V>
class MapState final : public FunctionState<K> {
 public:
  using EntryKey = MapEntryKey<K, M>;
  using OnExpiry = std::function<void(const EntryKey&, V&, EventTime)>;

  MapState(StateContext<K>& state, const std::string& name, std::optional<Ttl> ttl = std::nullopt,
           OnExpiry on_expiry = {})
      : current_(state.current()),
        groups_(state.operator_context().key_groups()),
        entries_(state.operator_context(), name, "map", ttl, std::move(on_expiry)) {
    state.add(*this);
  }
  MapState(const MapState&) = delete;
  MapState& operator=(const MapState&) = delete;

  // Null if there is none.
  const V* find(const M& item) {
    const EntryKey entry = entry_of(item);
    return entries_.find(entry, entry.hash, current_);
  }
  // V{} if there is none yet; counts as a write. Valid until the call ends.
  V& at(const M& item) {
    const EntryKey entry = entry_of(item);
    return entries_.at(entry, entry.hash, current_);
  }
  void set(const M& item, V value) { at(item) = std::move(value); }
  // True if there was one.
  bool erase(const M& item) {
    const EntryKey entry = entry_of(item);
    return entries_.erase(entry, entry.hash, current_);
  }
  // Calls fn(const M&, const V&) in order; it may change the map.
  template <class F>
  void for_each(F&& fn) {
    for (const M& item : items()) {
      if (const V* value = find(item)) fn(item, *value);
    }
  }
  void clear() {
    for (const M& item : items()) erase(item);
  }

  // Which entries a batch will ask for is not known.
  void prefetch(std::span<const KeyRef<K>> /*keys*/) override {}
  Progress expire(TimeDomain clock, EventTime until, std::size_t budget) override {
    return entries_.expire(clock, until, budget, [this](const EntryKey& entry, std::uint64_t hash) {
      current_.key = &entry.key;
      current_.hash = hash;
    });
  }

 private:
  // The entries of a key share the top bits of its hash, and with them a range that few other keys
  // are in; the next bits spread them over the range.
  static constexpr int kSpread = 12;
  static constexpr std::uint64_t kShared = ~std::uint64_t{0} << 44;
  static constexpr std::uint64_t kOwn = ~std::uint64_t{0} >> (64 - 44 + kSpread);

  [[nodiscard]] EntryKey entry_of(const M& item) const {
    const std::uint64_t hash = current_.hash;
    const std::uint64_t spread = (key_hash(item) >> (64 - kSpread)) << (44 - kSpread);
    const std::uint64_t own = (hash & kShared) | spread | (hash & kOwn);
    // Where a group ends within the range.
    const bool is_within = key_group_of(own, groups_.groups) == key_group_of(hash, groups_.groups);
    return {*current_.key, item, is_within ? own : hash};
  }
  std::vector<M> items() {
    std::vector<M> all;
    const std::uint64_t hash = current_.hash;
    entries_.for_each_key(key_group_of(hash, groups_.groups), hash & kShared, hash | ~kShared,
                          [&](const EntryKey& entry) {
                            if (entry.key == *current_.key) all.push_back(entry.item);
                          });
    std::sort(all.begin(), all.end());
    return all;
  }

  KeyInProgress<K>& current_;
  const KeyGroupRange groups_;
  ExpiringStore<EntryKey, V> entries_;
};

}  // namespace tidemill
