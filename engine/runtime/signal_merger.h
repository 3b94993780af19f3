// What the signals of several inlets mean for whoever is behind all of them: merged watermark,
// aligned barrier, idle, active, end.
//
// Invariants: a barrier comes out once every inlet has brought it; the merged watermark never moves
// back; a finished inlet counts as "barrier arrived" only when its barrier really comes (finished
// sources go on sending barriers), so a checkpoint covers every task.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "engine/data/message.h"
#include "engine/time/watermark_merger.h"

namespace tidemill {

// Event time is merged in two steps. The subtasks of one chain of operators all say the same about
// it, each behind the records it sent before: the inlets from them are one input, an edge, whose
// watermark is the least of all its inlets, idle or not. (An inlet that is left out because it said
// so first would let the watermark overtake records in the others.) That holds for all edges of the
// graph that come from one chain: a stream joined with another that is made of the same source.
// Edges are merged as the inputs of the semantics.
//
// One thread.
class SignalMerger {
 public:
  // `edges[i]`: the edge of inlet i.
  SignalMerger(const std::vector<std::size_t>& edges, EventTime restored_watermark);

  // `signal` has come by this inlet; what follows from it for the whole is next() until that has
  // nothing more.
  void take(std::size_t inlet, const Signal& signal);
  std::optional<Signal> next();
  [[nodiscard]] bool has_next() const { return !ready_.empty(); }

  // Its barrier has come and those of others have not: what follows in it has to wait.
  [[nodiscard]] bool is_blocked(std::size_t inlet) const { return inlets_[inlet].is_blocked; }
  [[nodiscard]] EventTime watermark() const { return merger_.merged(); }

 private:
  struct Inlet {
    std::size_t edge = 0;
    EventTime watermark;
    bool is_blocked = false;  // its barrier has arrived
    bool is_ended = false;
    bool is_idle = false;
  };
  void handle_barrier(std::size_t inlet, CheckpointId id);
  void handle_end(std::size_t inlet);
  void handle_idle(std::size_t edge);
  void queue_watermark(std::optional<EventTime> advanced);
  [[nodiscard]] EventTime watermark_of(std::size_t edge) const;
  template <class Predicate>
  [[nodiscard]] bool all_of(std::size_t edge, Predicate predicate) const;

  std::vector<Inlet> inlets_;
  WatermarkMerger merger_;    // over the edges
  std::deque<Signal> ready_;  // what follows from the last signal
  std::optional<CheckpointId> aligning_;
  std::size_t arrived_ = 0;
  bool is_idle_ = false;
  bool end_sent_ = false;
};

}  // namespace tidemill
