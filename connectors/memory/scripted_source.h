// A source that reads a script: each input is a split, each message of it one poll.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "connectors/memory/script.h"
#include "engine/operator/source.h"

namespace tidemill {

// Reads the inputs `first`, `first + 1`, … `first + count - 1` of the script; split i of these
// belongs to subtask i mod parallelism. Offsets count messages, whatever they say.
template <class T>
class ScriptedReader final : public SourceReader<T> {
 public:
  ScriptedReader(OperatorContext& ctx, const std::vector<SplitPosition>& positions,
                 std::shared_ptr<Script<T>> script, std::size_t first, std::size_t count)
      : script_(std::move(script)) {
    const auto parallelism = static_cast<std::size_t>(ctx.parallelism());
    for (auto i = static_cast<std::size_t>(ctx.subtask()); i < count; i += parallelism) {
      SplitStatus split;
      split.name = script_->name(first + i);
      split.source = "script";
      split.partition = static_cast<std::int32_t>(i);
      for (const SplitPosition& p : positions) {
        if (p.split == split.name) split.next_offset = p.offset;
      }
      inputs_.push_back(first + i);
      splits_.push_back(std::move(split));
    }
  }

  void poll(SourceBatch<T>& out, std::size_t /*max_records*/) override {
    for (std::size_t i = 0; i < splits_.size(); ++i) {
      SplitStatus& split = splits_[i];
      const bool must_wait = split.is_paused || split.next_offset >= split.hold;
      const auto message = script_->take(inputs_[i], position(split), must_wait);
      if (message) say(*message, i, out);
      split.is_held = script_->is_paused(inputs_[i]);
      split.lag = script_->has_more(inputs_[i], position(split)) ? 1 : 0;
      split.state = script_->has_ended(inputs_[i], position(split)) ? SplitState::kFinished
                    : split.lag != 0                                ? SplitState::kReading
                                                                    : SplitState::kAtEnd;
    }
  }

  [[nodiscard]] std::vector<SplitStatus>& splits() override { return splits_; }

 private:
  static std::size_t position(const SplitStatus& split) {
    return static_cast<std::size_t>(split.next_offset);
  }

  void say(const ScriptInputs::Message& message, std::size_t i, SourceBatch<T>& out) {
    using Verb = ScriptInputs::Verb;
    SplitStatus& split = splits_[i];
    switch (message.verb) {
      case Verb::kBatch:
        for (T& record : script_->records(message.batch)) {
          out.append(std::move(record),
                     {static_cast<std::uint32_t>(i), split.partition, split.next_offset});
        }
        break;
      case Verb::kWatermark: split.announced = message.time; break;
      case Verb::kIdle: split.announced_idle = true; break;
      case Verb::kActive: split.announced_idle = false; break;
      case Verb::kEnd: break;
    }
    ++split.next_offset;
  }

  const std::shared_ptr<Script<T>> script_;  // shared with the test and the other subtasks
  std::vector<std::size_t> inputs_;          // of the script, by split
  std::vector<SplitStatus> splits_;
};

template <class T>
ReaderFactory<T> read_script(std::shared_ptr<Script<T>> script, std::size_t first,
                             std::size_t count) {
  return [=](OperatorContext& ctx, const std::vector<SplitPosition>& positions) {
    return std::make_unique<ScriptedReader<T>>(ctx, positions, script, first, count);
  };
}

}  // namespace tidemill
