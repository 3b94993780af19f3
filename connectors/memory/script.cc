#include "connectors/memory/script.h"

#include <algorithm>
#include <utility>

namespace tidemill {

ScriptInputs::ScriptInputs(std::vector<std::string> names) {
  for (std::string& name : names) {
    inputs_.emplace_back().name = std::move(name);
  }
}

void ScriptInputs::watermark(const std::vector<std::size_t>& inputs, EventTime time) {
  say(inputs, Verb::kWatermark, time, 0);
}
void ScriptInputs::idle(std::size_t input) { say({input}, Verb::kIdle, {}, 0); }
void ScriptInputs::active(std::size_t input) { say({input}, Verb::kActive, {}, 0); }
void ScriptInputs::end(const std::vector<std::size_t>& inputs) { say(inputs, Verb::kEnd, {}, 0); }

void ScriptInputs::pause(std::size_t input) {
  const std::lock_guard lock(mutex_);
  inputs_[input].is_paused = true;
}

void ScriptInputs::resume(std::size_t input) {
  const std::lock_guard lock(mutex_);
  inputs_[input].is_paused = false;
}

void ScriptInputs::say(const std::vector<std::size_t>& inputs, Verb verb, EventTime time,
                       std::size_t batch) {
  const std::lock_guard lock(mutex_);
  ++said_;
  for (const std::size_t i : inputs) inputs_[i].messages.push_back({said_, verb, time, batch});
}

void ScriptInputs::read_in_turns() {
  const std::lock_guard lock(mutex_);
  has_turns_ = true;
}

bool ScriptInputs::is_ready(const Input& in) const {
  return in.position < in.messages.size() && !in.is_paused && !in.is_aligning;
}

std::size_t ScriptInputs::next_turn() {
  const std::lock_guard lock(mutex_);
  std::optional<std::uint64_t> first;
  for (const Input& in : inputs_) {
    if (is_ready(in)) first = std::min(first.value_or(said_), in.messages[in.position].number);
  }
  std::size_t called = 0;
  for (Input& in : inputs_) {
    in.has_turn = first && is_ready(in) && in.messages[in.position].number == *first;
    called += in.has_turn ? 1 : 0;
  }
  return called;
}

bool ScriptInputs::is_read() const {
  const std::lock_guard lock(mutex_);
  return std::ranges::all_of(inputs_,
                             [](const Input& in) { return in.position >= in.messages.size(); });
}

std::optional<ScriptInputs::Message> ScriptInputs::take(std::size_t input, std::size_t position,
                                                        bool is_aligning) {
  const std::lock_guard lock(mutex_);
  Input& in = inputs_[input];
  in.position = position;
  in.is_aligning = is_aligning;
  if (!is_ready(in) || (has_turns_ && !in.has_turn)) return std::nullopt;
  in.has_turn = false;
  ++in.position;
  return in.messages[position];
}

bool ScriptInputs::is_paused(std::size_t input) const {
  const std::lock_guard lock(mutex_);
  return inputs_[input].is_paused;
}

bool ScriptInputs::has_more(std::size_t input, std::size_t position) const {
  const std::lock_guard lock(mutex_);
  return position < inputs_[input].messages.size();
}

bool ScriptInputs::has_ended(std::size_t input, std::size_t position) const {
  const std::lock_guard lock(mutex_);
  const auto& messages = inputs_[input].messages;
  return std::any_of(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(position),
                     [](const Message& m) { return m.verb == Verb::kEnd; });
}

}  // namespace tidemill
