// What every subtask knows alike of a small broadcast stream: rules, settings, exchange rates.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "engine/operator/context.h"
#include "state/operator_state.h"

namespace tidemill {

// A map of which each subtask has its own copy, in memory and in the manifest: for some thousand
// entries, not for millions. Changed by the records of the broadcast input only; then all copies
// are alike, and after a restore, also with another parallelism, every subtask starts from the same
// one. One thread.
template <class K, class V>
class BroadcastState {
 public:
  BroadcastState(OperatorContext& ctx, std::string name) : entries_(ctx, std::move(name)) {
    if (!entries_.restored().empty()) *entries_ = entries_.restored().front();
  }

  void put(const K& key, V value) { entries_->insert_or_assign(key, std::move(value)); }
  // True if there was one.
  bool erase(const K& key) { return entries_->erase(key) != 0; }
  // Null if there is none. Valid until the entry is erased.
  [[nodiscard]] const V* find(const K& key) const {
    const auto it = entries_->find(key);
    return it == entries_->end() ? nullptr : &it->second;
  }
  // All of it, in the order of the keys.
  [[nodiscard]] const std::map<K, V>& entries() const { return *entries_; }

 private:
  OperatorState<std::map<K, V>> entries_;
};

}  // namespace tidemill
