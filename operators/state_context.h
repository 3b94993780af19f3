// What a process function is built with, and what its states know of the key in progress.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "state/keyed_store.h"

namespace tidemill {

enum class TimeDomain : std::uint8_t { kEvent, kProcessing };

// The key whose record or timer is being worked on, and how late it is in both clocks: in event
// time the watermark, or the time of the event-time timer that fires.
template <class K>
struct KeyInProgress {
  const K* key = nullptr;
  std::uint64_t hash = 0;
  PlaceAhead place = kNoPlace;  // among the keys that the states were asked to prefetch
  EventTime time{};             // of the record or timer; ProcessContext::time
  EventTime event_now = EventTime::min();
  EventTime processing_now = EventTime::min();
};

// A state of a process function, as its operator drives it.
template <class K>
class FunctionState {
 public:
  virtual ~FunctionState() = default;
  // A batch of these keys follows.
  virtual void prefetch(std::span<const KeyRef<K>> keys) = 0;
  // Lets go what expires before `until` by that clock, about `budget` entries of it.
  virtual Progress expire(TimeDomain /*clock*/, EventTime /*until*/, std::size_t /*budget*/) {
    return Progress::kDone;
  }
};

// Given to the constructor of a process function, which makes its states from it
// (operators/function_state.h) and asks it for side outputs and counters. Not used later; what it
// refers to outlives the function.
template <class K>
class StateContext {
 public:
  using Key = K;

  StateContext(OperatorContext& ctx, KeyInProgress<K>& current,
               std::vector<FunctionState<K>*>& states)
      : ctx_(ctx), current_(current), states_(states) {}

  [[nodiscard]] OperatorContext& operator_context() const { return ctx_; }
  // A side output; `emit` it at ProcessContext::time(). The stream is `.side(port)` of the result.
  template <class T>
  [[nodiscard]] Emitter<T>& output(OutputPort<T> port) const {
    return ctx_.output(port);
  }
  // The first output, for callbacks that are given no ProcessContext.
  template <class Out>
  [[nodiscard]] Emitter<Out>& main_output() const {
    return ctx_.output<Out>(0);
  }
  [[nodiscard]] Counter& counter(const std::string& name, Labels labels = {}) const {
    return ctx_.counter(name, std::move(labels));
  }

  // For states.
  [[nodiscard]] KeyInProgress<K>& current() const { return current_; }
  void add(FunctionState<K>& state) const { states_.push_back(&state); }

 private:
  OperatorContext& ctx_;
  KeyInProgress<K>& current_;
  std::vector<FunctionState<K>*>& states_;
};

}  // namespace tidemill
