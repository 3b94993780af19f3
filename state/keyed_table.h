// Ordered fields per key: K -> (F -> V), for instance rows by event time. Ranges are read per key.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "state/keyed_store.h"

namespace tidemill {

// One thread: the operator's. References: as KeyedValue.
template <class K, class F, class V>
class KeyedTable {
 public:
  KeyedTable(OperatorContext& ctx, const std::string& name)
      : store_(ctx, name, "table", Namespaces::kNone) {}

  void put(const K& key, std::uint64_t hash, const F& field, V value) {
    store_.at(kOnly, key, hash).insert_or_assign(field, std::move(value));
  }
  // The value of the field; V{} if it has none yet. Counts as a write.
  V& at(const K& key, std::uint64_t hash, const F& field) {
    return store_.at(kOnly, key, hash)[field];
  }
  // Null if there is none.
  const V* get(const K& key, std::uint64_t hash, const F& field) {
    const auto* fields = store_.find(kOnly, key, hash);
    if (fields == nullptr) return nullptr;
    const auto it = fields->find(field);
    return it == fields->end() ? nullptr : &it->second;
  }
  bool erase(const K& key, std::uint64_t hash, const F& field) {
    const auto* fields = store_.find(kOnly, key, hash);
    if (fields == nullptr || !fields->contains(field)) return false;
    erase_range(key, hash, field, next(*fields, field));
    return true;
  }
  // Erases the fields in [begin, end); an absent `end` means all from `begin` on.
  void erase_range(const K& key, std::uint64_t hash, const F& begin, const std::optional<F>& end) {
    auto* fields = store_.find_for_update(kOnly, key, hash);
    if (fields == nullptr) return;
    fields->erase(fields->lower_bound(begin), end ? fields->lower_bound(*end) : fields->end());
    if (fields->empty()) store_.erase(kOnly, key, hash);
  }
  void erase_key(const K& key, std::uint64_t hash) { store_.erase(kOnly, key, hash); }

  // Calls fn(const F&, const V&) for the fields in [begin, end) in order, until it returns false.
  template <class Fn>
  void scan(const K& key, std::uint64_t hash, const F& begin, const std::optional<F>& end,
            Fn&& fn) {
    const auto* fields = store_.find(kOnly, key, hash);
    if (fields == nullptr) return;
    for (auto it = fields->lower_bound(begin); it != fields->end() && (!end || it->first < *end);
         ++it) {
      if (!fn(it->first, it->second)) return;
    }
  }

  void prefetch(std::span<const KeyRef<K>> keys) { store_.prefetch(kOnly, keys); }

  // Calls fn(const K&, hash, const std::map<F, V>&) for each key of the group.
  template <class Fn>
  void for_each_in_group(KeyGroup group, Fn&& fn) {
    store_.for_each(kOnly, group, fn);
  }

 private:
  using Fields = std::map<F, V>;
  static std::optional<F> next(const Fields& fields, const F& field) {
    const auto it = fields.upper_bound(field);
    return it == fields.end() ? std::nullopt : std::optional<F>(it->first);
  }

  static constexpr EventTime kOnly = KeyedStore<K, Fields>::kOnly;
  KeyedStore<K, Fields> store_;
};

}  // namespace tidemill
