#include "engine/time/watermark_merger.h"

#include <algorithm>

#include "engine/base/fault.h"

namespace tidemill {

WatermarkMerger::WatermarkMerger(std::size_t inputs, EventTime restored)
    : inputs_(inputs, Input{restored}), merged_(restored) {}

std::optional<EventTime> WatermarkMerger::advance(std::size_t input, EventTime time) {
  Input& in = inputs_[input];
  if (time <= in.watermark) return std::nullopt;
  in.watermark = time;
  return merge();
}

std::optional<EventTime> WatermarkMerger::set_idle(std::size_t input) {
  if (inputs_[input].state != State::kActive) return std::nullopt;
  inputs_[input].state = State::kIdle;
  return merge();
}

std::optional<EventTime> WatermarkMerger::finish(std::size_t input, EventTime last) {
  Input& in = inputs_[input];
  if (in.state == State::kFinished) return std::nullopt;
  in.watermark = std::max(in.watermark, last);
  in.state = State::kFinished;
  return merge();
}

void WatermarkMerger::activate(std::size_t input) {
  Input& in = inputs_[input];
  if (in.state != State::kIdle) return;
  in.state = State::kActive;
  in.watermark = std::max(in.watermark, merged_);
}

std::size_t WatermarkMerger::add_input(EventTime restored) {
  inputs_.push_back(Input{std::max(restored, merged_)});
  return inputs_.size() - 1;
}

void WatermarkMerger::restore(EventTime merged) {
  merged_ = std::max(merged_, merged);
  for (Input& in : inputs_) in.watermark = std::max(in.watermark, merged_);
}

bool WatermarkMerger::is_idle() const {
  return !all_finished() && std::none_of(inputs_.begin(), inputs_.end(), [](const Input& in) {
    return in.state == State::kActive;
  });
}

bool WatermarkMerger::all_finished() const {
  return std::all_of(inputs_.begin(), inputs_.end(),
                     [](const Input& in) { return in.state == State::kFinished; });
}

std::optional<std::size_t> WatermarkMerger::holder() const {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].state != State::kActive) continue;
    if (!found || inputs_[i].watermark < inputs_[*found].watermark) found = i;
  }
  return found;
}

std::optional<EventTime> WatermarkMerger::merge() {
  EventTime smallest = EventTime::max();
  EventTime greatest = EventTime::min();
  bool any_active = false;
  for (const Input& in : inputs_) {
    greatest = std::max(greatest, in.watermark);
    if (in.state != State::kActive) continue;
    any_active = true;
    smallest = std::min(smallest, in.watermark);
  }
  if (TM_BROKEN("watermark_maximum")) smallest = greatest;
  const EventTime next = any_active ? smallest : greatest;
  if (next <= merged_) return std::nullopt;
  merged_ = next;
  return merged_;
}

}  // namespace tidemill
