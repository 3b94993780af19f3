#include "engine/runtime/input_gate.h"

#include <utility>

namespace tidemill {
namespace {

std::vector<std::size_t> edges_of(const std::vector<InputGate::Input>& inputs) {
  std::vector<std::size_t> edges;
  for (const InputGate::Input& in : inputs) edges.push_back(in.edge);
  return edges;
}

}  // namespace

InputGate::InputGate(const std::vector<Input>& inputs, EventTime restored_watermark)
    : signals_(edges_of(inputs), restored_watermark) {
  for (const Input& in : inputs) inputs_.emplace_back().input = in;
}

bool InputGate::has_message() const {
  if (signals_.has_next()) return true;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!signals_.is_blocked(i) &&
        (!inputs_[i].taken.empty() || !inputs_[i].input.channel->is_empty()))
      return true;
  }
  return false;
}

std::optional<InputGate::Next> InputGate::next(std::size_t first) {
  while (true) {
    if (const auto signal = signals_.next()) return Next{0, Message(*signal)};
    bool found = false;
    for (std::size_t n = 0; n < inputs_.size() && !found; ++n) {
      const std::size_t i = (first + n) % inputs_.size();
      State& in = inputs_[i];
      if (signals_.is_blocked(i)) continue;
      if (in.taken.empty() && !in.input.channel->take_all(in.taken)) continue;
      Message message = std::move(in.taken.front());
      in.taken.pop_front();
      found = true;
      if (message.batch) {
        last_ = in.input.channel;
        return Next{in.input.port, std::move(message)};
      }
      signals_.take(i, message.signal);
    }
    if (!found) return std::nullopt;
  }
}

void InputGate::release() {
  if (last_ != nullptr) last_->release(1);
  last_ = nullptr;
}

}  // namespace tidemill
