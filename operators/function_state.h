// The states of a process function: each call sees those of the key in progress.
#pragma once

#include <span>
#include <string>
#include <utility>

#include "operators/state_context.h"
#include "state/keyed_value.h"

namespace tidemill {

// One value per key.
template <class K, class V>
class ValueState final : public FunctionState<K> {
 public:
  ValueState(StateContext<K>& state, const std::string& name)
      : current_(state.current()), values_(state.operator_context(), name) {
    state.add(*this);
  }
  ValueState(const ValueState&) = delete;
  ValueState& operator=(const ValueState&) = delete;

  // Null if there is none.
  const V* find() { return values_.find(*current_.key, current_.hash); }
  // V{} if there is none yet; counts as a write. Valid until the call ends.
  V& value() { return values_.at(*current_.key, current_.hash); }
  void set(V value) { this->value() = std::move(value); }
  // True if there was one.
  bool clear() { return values_.erase(*current_.key, current_.hash); }

  void prefetch(std::span<const KeyRef<K>> keys) override { values_.prefetch(keys); }

 private:
  const KeyInProgress<K>& current_;
  KeyedValue<K, V> values_;
};

}  // namespace tidemill
