// What the inputs of a test say, written down beforehand or as the test goes: batches, watermarks,
// idleness, ends. It is the outside world of a job: it survives every restart, and readers find
// their place in it by the position in their checkpoint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/time.h"

namespace tidemill {

// The part of a script that does not depend on the type of its records. Inputs have names and are
// read one message after the other; a paused input is not read. Thread-safe.
class ScriptInputs {
 public:
  enum class Verb : std::uint8_t { kBatch, kWatermark, kIdle, kActive, kEnd };
  struct Message {
    std::uint64_t number = 0;  // over all inputs, in the order of coming
    Verb verb = Verb::kBatch;
    EventTime time{};       // kWatermark
    std::size_t batch = 0;  // kBatch: which one
  };

  explicit ScriptInputs(std::vector<std::string> names);
  ScriptInputs(const ScriptInputs&) = delete;
  ScriptInputs& operator=(const ScriptInputs&) = delete;

  // What one word says of several inputs, they say at once (see next_turn).
  void watermark(const std::vector<std::size_t>& inputs, EventTime time);
  void idle(std::size_t input);
  void active(std::size_t input);
  void end(const std::vector<std::size_t>& inputs);
  void pause(std::size_t input);
  void resume(std::size_t input);

  // From now on an input is read only when it is its turn, so that the order of reading is that of
  // coming, whoever reads.
  void read_in_turns();
  // Gives the turn to the inputs whose next message came first of all that can be read now, and
  // returns how many inputs that are: 0 if nothing can be read. Requires: every input has been
  // asked by its reader since the last turn.
  std::size_t next_turn();

  [[nodiscard]] const std::string& name(std::size_t input) const { return inputs_[input].name; }
  [[nodiscard]] std::size_t size() const { return inputs_.size(); }
  // All that was said has been read.
  [[nodiscard]] bool is_read() const;

  // For readers: the message at `position`, if it can be read now. `is_aligning`: the runtime
  // forbids it just now.
  std::optional<Message> take(std::size_t input, std::size_t position, bool is_aligning);
  [[nodiscard]] bool is_paused(std::size_t input) const;
  // Something has been said at or behind `position`.
  [[nodiscard]] bool has_more(std::size_t input, std::size_t position) const;
  // What comes before `position` includes the end.
  [[nodiscard]] bool has_ended(std::size_t input, std::size_t position) const;

 protected:
  ~ScriptInputs() = default;
  void say(const std::vector<std::size_t>& inputs, Verb verb, EventTime time, std::size_t batch);

  mutable std::mutex mutex_;

 private:
  struct Input {
    std::string name;
    std::vector<Message> messages;
    std::size_t position = 0;  // of the reader, when it was last here
    bool is_aligning = false;
    bool is_paused = false;
    bool has_turn = false;
  };
  [[nodiscard]] bool is_ready(const Input& in) const;

  std::vector<Input> inputs_;
  std::uint64_t said_ = 0;
  bool has_turns_ = false;
};

template <class T>
class Script final : public ScriptInputs {
 public:
  using ScriptInputs::ScriptInputs;

  void batch(std::size_t input, std::vector<T> records) {
    std::size_t index = 0;
    {
      const std::lock_guard lock(mutex_);
      index = batches_.size();
      batches_.push_back(std::move(records));
    }
    say({input}, Verb::kBatch, {}, index);
  }
  // A copy: a batch may be read again after a restart.
  [[nodiscard]] std::vector<T> records(std::size_t batch) const {
    const std::lock_guard lock(mutex_);
    return batches_[batch];
  }

 private:
  std::vector<std::vector<T>> batches_;
};

}  // namespace tidemill
