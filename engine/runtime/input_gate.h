// The inputs of one task: next message, merged watermark, aligned barrier.
//
// Invariants: messages of one channel keep their order; a channel whose barrier has arrived is not
// read until all have delivered it; the merged watermark never moves back; a finished channel
// counts as "barrier arrived" only when its barrier really comes (finished sources go on sending
// barriers), so a checkpoint covers every task.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "engine/data/message.h"
#include "engine/runtime/channel.h"
#include "engine/time/watermark_merger.h"

namespace tidemill {

// Event time is merged in two steps. The subtasks of one chain of operators all say the same about
// it, each behind the records it sent before: their channels are one input, an edge, whose
// watermark is the least of all its channels, idle or not. (A channel that is left out because it
// said so first would let the watermark overtake records in the others.) That holds for all edges
// of the graph that come from one chain: a stream joined with another that is made of the same
// source. Edges are merged as the inputs of the semantics.
//
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

  InputGate(std::vector<Input> inputs, EventTime restored_watermark);

  // The next thing the task has to handle: a batch, or a signal that concerns the whole task
  // (merged watermark, aligned barrier, idle, active, end of all inputs). Nothing: no readable
  // input has a message. `first` is the channel to look at first (schedulers vary it).
  std::optional<Next> next(std::size_t first);

  // The batch returned last has been processed.
  void release();

  [[nodiscard]] bool has_message() const;
  [[nodiscard]] std::size_t size() const { return inputs_.size(); }
  [[nodiscard]] EventTime watermark() const { return merger_.merged(); }

 private:
  struct State {
    Input input;
    std::deque<Message> taken;
    bool is_blocked = false;  // its barrier has arrived
    bool is_ended = false;
    bool is_idle = false;
    EventTime watermark;
  };
  std::optional<Message> handle(std::size_t i, Message message);
  std::optional<Message> handle_barrier(std::size_t i, CheckpointId id);
  void queue_watermark(std::optional<EventTime> advanced);
  void handle_end(std::size_t i);
  void handle_idle(std::size_t edge);
  [[nodiscard]] EventTime watermark_of(std::size_t edge) const;
  template <class Predicate>
  [[nodiscard]] bool all_of(std::size_t edge, Predicate predicate) const;

  std::deque<State> inputs_;   // a State cannot be copied, which a growing vector would ask for
  WatermarkMerger merger_;     // over the edges
  std::deque<Message> ready_;  // signals that follow from the last message
  std::optional<CheckpointId> aligning_;
  std::size_t arrived_ = 0;
  bool is_idle_ = false;
  bool end_sent_ = false;
  Channel* last_ = nullptr;
};

}  // namespace tidemill
