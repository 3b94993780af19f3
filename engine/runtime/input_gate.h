// The inputs of one task: next message, with the signals of all of them merged
// (engine/runtime/signal_merger.h).
//
// Invariants: messages of one channel keep their order; a channel whose barrier has arrived is not
// read until all have delivered it.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "engine/data/message.h"
#include "engine/runtime/channel.h"
#include "engine/runtime/signal_merger.h"

namespace tidemill {

// Owned by its task, one thread.
class InputGate {
 public:
  struct Input {
    Channel* channel = nullptr;
    int port = 0;          // the operator's input this channel feeds
    std::size_t edge = 0;  // channels from the subtasks of one chain have one number
  };
  struct Next {
    int port = 0;
    Message message;
  };

  InputGate(const std::vector<Input>& inputs, EventTime restored_watermark);

  // The next thing the task has to handle: a batch, or a signal that concerns the whole task
  // (merged watermark, aligned barrier, idle, active, end of all inputs). Nothing: no readable
  // input has a message. `first` is the channel to look at first (schedulers vary it).
  std::optional<Next> next(std::size_t first);

  // The batch returned last has been processed.
  void release();

  [[nodiscard]] bool has_message() const;
  [[nodiscard]] std::size_t size() const { return inputs_.size(); }
  [[nodiscard]] EventTime watermark() const { return signals_.watermark(); }

 private:
  struct State {
    Input input;
    std::deque<Message> taken;
  };

  std::deque<State> inputs_;  // a State cannot be copied, which a growing vector would ask for
  SignalMerger signals_;
  Channel* last_ = nullptr;
};

}  // namespace tidemill
