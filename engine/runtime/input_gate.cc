#include "engine/runtime/input_gate.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/fault.h"

namespace tidemill {

namespace {

std::size_t num_edges(const std::vector<InputGate::Input>& inputs) {
  std::size_t count = 0;
  for (const InputGate::Input& in : inputs) count = std::max(count, in.edge + 1);
  return count;
}

}  // namespace

InputGate::InputGate(std::vector<Input> inputs, EventTime restored_watermark)
    : merger_(num_edges(inputs), restored_watermark) {
  for (const Input& in : inputs) {
    State& state = inputs_.emplace_back();
    state.input = in;
    state.watermark = restored_watermark;
  }
}

template <class Predicate>
bool InputGate::all_of(std::size_t edge, Predicate predicate) const {
  return std::all_of(inputs_.begin(), inputs_.end(),
                     [&](const State& in) { return in.input.edge != edge || predicate(in); });
}

// Of the channels that have not ended; of all if all have.
EventTime InputGate::watermark_of(std::size_t edge) const {
  EventTime least = EventTime::max();
  EventTime greatest = EventTime::min();
  bool is_open = false;
  for (const State& in : inputs_) {
    if (in.input.edge != edge) continue;
    greatest = std::max(greatest, in.watermark);
    if (in.is_ended) continue;
    is_open = true;
    least = std::min(least, in.watermark);
  }
  return is_open ? least : greatest;
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
  State& in = inputs_[i];
  const std::size_t edge = in.input.edge;
  switch (s.kind) {
    case SignalKind::kWatermark:
      in.watermark = std::max(in.watermark, s.time);
      queue_watermark(merger_.advance(edge, watermark_of(edge)));
      return std::nullopt;
    case SignalKind::kIdle:
      in.is_idle = true;
      handle_idle(edge);
      return std::nullopt;
    case SignalKind::kActive:
      in.is_idle = false;
      merger_.activate(edge);
      if (!is_idle_) return std::nullopt;
      is_idle_ = false;
      return Message(Signal::active());
    case SignalKind::kBarrier: return handle_barrier(i, s.checkpoint);
    case SignalKind::kEnd: handle_end(i); return std::nullopt;
  }
  return std::nullopt;
}

void InputGate::handle_idle(std::size_t edge) {
  if (!all_of(edge, [](const State& in) { return in.is_idle || in.is_ended; })) return;
  queue_watermark(merger_.set_idle(edge));
  if (is_idle_ || !merger_.is_idle()) return;
  is_idle_ = true;
  ready_.emplace_back(Signal::idle());
}

void InputGate::handle_end(std::size_t i) {
  const std::size_t edge = inputs_[i].input.edge;
  inputs_[i].is_ended = true;
  if (!all_of(edge, [](const State& in) { return in.is_ended; })) {
    queue_watermark(merger_.advance(edge, watermark_of(edge)));
    return;
  }
  queue_watermark(merger_.finish(edge, watermark_of(edge)));
  if (merger_.all_finished() && !end_sent_) {
    end_sent_ = true;
    ready_.emplace_back(Signal::end());
  } else if (!is_idle_ && merger_.is_idle()) {
    is_idle_ = true;
    ready_.emplace_back(Signal::idle());
  }
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
