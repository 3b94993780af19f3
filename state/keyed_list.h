// A list of elements per key: append, read, take all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "state/keyed_store.h"

namespace tidemill {

// One thread: the operator's. References: as KeyedValue.
template <class K, class E>
class KeyedList {
 public:
  KeyedList(OperatorContext& ctx, const std::string& name)
      : store_(ctx, name, "list", Namespaces::kNone) {}

  void append(const K& key, std::uint64_t hash, E element) {
    store_.at(kOnly, key, hash).push_back(std::move(element));
  }
  // Null if the list is empty.
  const std::vector<E>* find(const K& key, std::uint64_t hash) {
    return store_.find(kOnly, key, hash);
  }
  // Returns the elements in the order they came, and forgets them.
  std::vector<E> drain(const K& key, std::uint64_t hash) {
    std::vector<E>* list = store_.find_for_update(kOnly, key, hash);
    if (list == nullptr) return {};
    std::vector<E> taken = std::move(*list);
    store_.erase(kOnly, key, hash);
    return taken;
  }
  void prefetch(std::span<const KeyRef<K>> keys) { store_.prefetch(kOnly, keys); }

 private:
  static constexpr EventTime kOnly = KeyedStore<K, std::vector<E>>::kOnly;
  KeyedStore<K, std::vector<E>> store_;
};

}  // namespace tidemill
