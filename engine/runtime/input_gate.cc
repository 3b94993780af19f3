#include "engine/runtime/input_gate.h"

#include <utility>

#include "engine/base/error.h"
#include "engine/base/fault.h"

namespace tidemill {

InputGate::InputGate(std::vector<Input> inputs, EventTime restored_watermark)
    : merger_(inputs.size(), restored_watermark) {
  for (const Input& in : inputs) inputs_.emplace_back().input = in;
}

bool InputGate::has_message() const {
  if (!ready_.empty()) return true;
  for (const State& in : inputs_) {
    if (!in.is_blocked && (!in.taken.empty() || !in.input.channel->is_empty())) return true;
  }
  return false;
}

std::optional<InputGate::Next> InputGate::next(std::size_t first) {
  while (true) {
    if (!ready_.empty()) {
      Next next{0, std::move(ready_.front())};
      ready_.pop_front();
      return next;
    }
    bool found = false;
    for (std::size_t n = 0; n < inputs_.size() && !found; ++n) {
      const std::size_t i = (first + n) % inputs_.size();
      State& in = inputs_[i];
      if (in.is_blocked) continue;
      if (in.taken.empty() && !in.input.channel->take_all(in.taken)) continue;
      Message message = std::move(in.taken.front());
      in.taken.pop_front();
      found = true;
      if (auto handled = handle(i, std::move(message))) {
        ready_.push_back(std::move(*handled));
      }
      // A batch may have made an idle gate active; that signal comes before it.
      if (!ready_.empty()) {
        Next next{ready_.front().batch ? in.input.port : 0, std::move(ready_.front())};
        ready_.pop_front();
        if (next.message.batch) last_ = in.input.channel;
        return next;
      }
    }
    if (!found) return std::nullopt;
  }
}

void InputGate::release() {
  if (last_ != nullptr) last_->release(1);
  last_ = nullptr;
}

std::optional<Message> InputGate::handle(std::size_t i, Message message) {
  if (message.batch) return message;
  const Signal s = message.signal;
  switch (s.kind) {
    case SignalKind::kWatermark: queue_watermark(merger_.advance(i, s.time)); return std::nullopt;
    case SignalKind::kIdle:
      queue_watermark(merger_.set_idle(i));
      if (!is_idle_ && merger_.is_idle()) {
        is_idle_ = true;
        ready_.emplace_back(Signal::idle());
      }
      return std::nullopt;
    case SignalKind::kActive:
      merger_.activate(i);
      if (is_idle_) {
        is_idle_ = false;
        return Message(Signal::active());
      }
      return std::nullopt;
    case SignalKind::kBarrier: return handle_barrier(i, s.checkpoint);
    case SignalKind::kEnd:
      inputs_[i].is_ended = true;
      queue_watermark(merger_.finish(i));
      if (merger_.all_finished() && !end_sent_) {
        end_sent_ = true;
        ready_.emplace_back(Signal::end());
      } else if (!is_idle_ && merger_.is_idle()) {
        is_idle_ = true;
        ready_.emplace_back(Signal::idle());
      }
      return std::nullopt;
  }
  return std::nullopt;
}

void InputGate::queue_watermark(std::optional<EventTime> advanced) {
  if (advanced) ready_.emplace_back(Signal::watermark(*advanced));
}

std::optional<Message> InputGate::handle_barrier(std::size_t i, CheckpointId id) {
  if (TM_BROKEN("no_alignment")) {
    if (aligning_ == id) {
      if (++arrived_ == inputs_.size()) aligning_.reset();
      return std::nullopt;
    }
    aligning_ = inputs_.size() > 1 ? std::optional(id) : std::nullopt;
    arrived_ = 1;
    return Message(Signal::barrier(id));
  }
  TM_CHECK(!aligning_ || *aligning_ == id);
  aligning_ = id;
  inputs_[i].is_blocked = true;
  if (++arrived_ < inputs_.size()) return std::nullopt;
  for (State& in : inputs_) in.is_blocked = false;
  arrived_ = 0;
  aligning_.reset();
  return Message(Signal::barrier(id));
}

}  // namespace tidemill
