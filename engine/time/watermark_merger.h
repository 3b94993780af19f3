// Event time over several inputs (docs/semantics.md 1).
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "engine/base/time.h"

namespace tidemill {

// The merged watermark is the smallest of the inputs that are active, and never moves back. Idle
// and finished inputs are left out at once; when the last active one leaves, the merged watermark
// first advances to the greatest of all inputs'. Not thread-safe.
class WatermarkMerger {
 public:
  explicit WatermarkMerger(std::size_t inputs, EventTime restored = EventTime::min());

  // Each returns the new merged watermark if it advanced. A record or watermark on an idle input
  // must be announced by `activate` first: the input then counts from the merged watermark on.
  std::optional<EventTime> advance(std::size_t input, EventTime time);
  std::optional<EventTime> set_idle(std::size_t input);
  // The input has ended, with `last` as its last watermark: one step, nothing happens in between.
  std::optional<EventTime> finish(std::size_t input, EventTime last = EventTime::min());
  void activate(std::size_t input);
  // A new input, active, from `restored` on or from the merged watermark if that is later. The
  // merged one stays until something is said.
  std::size_t add_input(EventTime restored = EventTime::min());
  // Goes on from a merged watermark of before: no input is behind it.
  void restore(EventTime merged);

  [[nodiscard]] EventTime merged() const { return merged_; }
  [[nodiscard]] EventTime of(std::size_t input) const { return inputs_[input].watermark; }
  [[nodiscard]] bool is_active(std::size_t input) const {
    return inputs_[input].state == State::kActive;
  }
  [[nodiscard]] bool is_finished(std::size_t input) const {
    return inputs_[input].state == State::kFinished;
  }
  // No input is active (and not all are finished): the whole is idle.
  [[nodiscard]] bool is_idle() const;
  [[nodiscard]] bool all_finished() const;
  [[nodiscard]] std::size_t size() const { return inputs_.size(); }
  // The active input that holds the merged watermark back; none if nothing is active.
  [[nodiscard]] std::optional<std::size_t> holder() const;

 private:
  enum class State { kActive, kIdle, kFinished };
  struct Input {
    EventTime watermark;
    State state = State::kActive;
  };
  std::optional<EventTime> merge();

  std::vector<Input> inputs_;
  EventTime merged_;
};

}  // namespace tidemill
