// One operator in one subtask with everything it owns; routes batches and signals.
//
// Invariants:
// - Whatever the operator emitted before a signal is pushed before that signal.
// - The watermark the operator has been given, and the one forwarded, are part of its snapshot.
// - While a firing or the end is unfinished, batches and barriers may pass; watermarks raise the
// target; idle and end wait.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/emitter.h"
#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "engine/operator/snapshot.h"
#include "engine/runtime/signal_merger.h"

namespace tidemill {

// What a checkpoint holds of the runtime's own knowledge about one stage.
struct StageClock {
  EventTime target = EventTime::min();     // given to the operator
  EventTime forwarded = EventTime::min();  // pushed on
};

class Stage {
 public:
  Stage(std::unique_ptr<OperatorContext> context,
        const std::function<std::unique_ptr<Operator>(OperatorContext&)>& make);

  void on_batch(int input, AnyBatch batch);
  [[nodiscard]] bool takes_views() const { return operator_->takes_views(); }
  void on_view(int input, const AnyView& rows);
  // The same for one that comes from another task.
  void on_exchanged(int input, AnyBatch batch);
  void on_signal(const Signal& signal);
  // For whoever is upstream in the same task: inlet `number` of `count`, into the operator's input
  // `input`. Lives as long as this.
  std::unique_ptr<Outlet> make_inlet(int input, std::size_t number, std::size_t count);

  // Resumable work: firing, end of input.
  [[nodiscard]] bool has_work() const { return firing_ || (ending_ && !ended_); }
  void work();
  void tick();

  [[nodiscard]] bool is_blocked() const { return operator_->is_blocked() || is_outlet_blocked(); }
  [[nodiscard]] bool is_outlet_blocked() const;
  [[nodiscard]] bool has_ended() const { return ended_; }

  // Checkpoint: freeze was done when the barrier passed; this copies a bounded piece. True when all
  // is copied.
  bool drain(std::size_t max_entries);
  [[nodiscard]] StageSnapshot take_snapshot() { return std::move(snapshot_); }

  // Between messages. True if this is the operator that is asked.
  bool answer(StateQuery& query);

  [[nodiscard]] OperatorContext& context() { return *context_; }
  [[nodiscard]] const std::string& name() const { return context_->name(); }
  [[nodiscard]] EventTime watermark() const { return clock_.forwarded; }
  [[nodiscard]] EventTime input_watermark() const { return clock_.target; }

 private:
  void fire();
  void show_watermark();
  void tell_watermark();
  void settle();  // what waited for the firing to finish
  void emit_signal(const Signal& signal);
  void flush();
  void freeze(CheckpointId id);
  [[noreturn]] void rethrow_named();

  std::unique_ptr<OperatorContext> context_;
  std::unique_ptr<Operator> operator_;
  StageClock clock_;
  bool firing_ = false;
  bool must_tell_ = false;  // the forwarded watermark again, once
  bool ending_ = false;
  bool ended_ = false;
  std::optional<bool> idle_pending_;
  std::size_t draining_ = 0;  // index of the snapshotable being drained
  StageSnapshot snapshot_;
  std::optional<SignalMerger> inlets_;  // where the task has several into this stage
  Counter& records_in_;
  Gauge& watermark_;
  Histogram* exchanged_age_ = nullptr;  // of those that come from other tasks; null: none has
};

}  // namespace tidemill
