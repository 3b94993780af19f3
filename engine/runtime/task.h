// A chain of stages for one slice of the keys: what a thread steps. One step handles one message
// and never blocks.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/operator/snapshot.h"
#include "engine/runtime/input_gate.h"
#include "engine/runtime/stage.h"
#include "engine/runtime/task_meter.h"

namespace tidemill {

// What a task contributed to one checkpoint.
struct TaskSnapshot {
  struct Entry {
    std::string operator_name;
    int subtask = 0;
    StageSnapshot snapshot;
  };
  CheckpointId checkpoint = 0;
  std::vector<Entry> entries;
  std::chrono::nanoseconds aligned_at{};  // monotonic: the barrier had come on every input
  std::chrono::nanoseconds stall{};       // for how long it then held the task up
};

// A source at the head of a chain.
class SourceHead {
 public:
  SourceHead(std::unique_ptr<OperatorContext> context,
             const std::function<std::unique_ptr<SourceDriver>(OperatorContext&)>& make)
      : context_(std::move(context)), driver_(make(*context_)) {}

  [[nodiscard]] SourceDriver& driver() { return *driver_; }
  [[nodiscard]] OperatorContext& context() { return *context_; }

  void freeze(CheckpointId id);
  bool drain(std::size_t max_entries);
  [[nodiscard]] StageSnapshot take_snapshot() { return std::move(snapshot_); }
  [[nodiscard]] bool is_blocked() const;

 private:
  std::unique_ptr<OperatorContext> context_;
  std::unique_ptr<SourceDriver> driver_;
  StageSnapshot snapshot_;
  std::size_t draining_ = 0;
};

// Built by the job; stepped by one thread (which may change between steps only under a lock or a
// join).
class Task {
 public:
  enum class Step { kWorked, kIdle, kBlocked };
  using Acknowledge = std::function<void(TaskSnapshot)>;

  Task(std::string name, TaskMeter meter, const Clock& clock, Acknowledge acknowledge)
      : name_(std::move(name)),
        meter_(meter),
        clock_(clock),
        acknowledge_(std::move(acknowledge)) {}

  // Construction, head first.
  void set_source(std::unique_ptr<SourceHead> source) { source_ = std::move(source); }
  Stage& add_stage(std::unique_ptr<Stage> stage);
  void add_inlet(std::unique_ptr<Outlet> inlet) { inlets_.push_back(std::move(inlet)); }
  void add_exchange(std::unique_ptr<ExchangeOutlet> exchange) {
    exchanges_.push_back(std::move(exchange));
  }
  void set_gate(std::unique_ptr<InputGate> gate) { gate_ = std::move(gate); }

  // One message, or one piece of pending work. `turn` varies which input is looked at first. Throws
  // what an operator throws.
  Step step(std::size_t turn);
  // At least once a millisecond.
  void tick();

  // Any thread: the next step of a source task lets checkpoint `id` begin. Ids only grow.
  void request_checkpoint(CheckpointId id) { requested_.store(id + 1, std::memory_order_release); }

  // Any thread: answered before the next step. Not answered if the task ends before that.
  std::future<StateQuery> ask(StateQuery query);

  [[nodiscard]] bool is_source() const { return source_ != nullptr; }
  // The end has passed through every stage. Barriers still may.
  [[nodiscard]] bool has_ended() const;
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] TaskMeter& meter() { return meter_; }
  [[nodiscard]] SourceHead* source() { return source_.get(); }
  [[nodiscard]] std::vector<std::unique_ptr<Stage>>& stages() { return stages_; }
  // Something to do without further input (for schedulers that wait for quiet).
  [[nodiscard]] bool has_pending_work() const;

 private:
  void answer_queries();
  bool is_blocked() const;
  bool begin_checkpoint();
  bool drain();
  bool drain_piece();
  void acknowledge();
  void flush_exchanges();
  bool step_input(std::size_t turn);
  bool step_source();
  void note_barrier(std::chrono::nanoseconds begin);

  const std::string name_;
  TaskMeter meter_;
  const Clock& clock_;
  const Acknowledge acknowledge_;
  std::unique_ptr<SourceHead> source_;
  std::unique_ptr<InputGate> gate_;
  // Outlets before stages: stages' contexts point to them, and are destroyed first.
  std::vector<std::unique_ptr<ExchangeOutlet>> exchanges_;
  std::vector<std::unique_ptr<Stage>> stages_;
  std::vector<std::unique_ptr<Outlet>> inlets_;
  std::atomic<CheckpointId> requested_{0};  // id + 1
  CheckpointId begun_ = 0;                  // id + 1
  std::optional<CheckpointId> draining_;
  std::size_t drained_stages_ = 0;
  std::chrono::nanoseconds aligned_at_{};
  std::chrono::nanoseconds stall_{};
  std::size_t steps_since_flush_ = 0;

  std::atomic<bool> has_queries_{false};
  std::mutex queries_mutex_;
  std::vector<std::pair<StateQuery, std::promise<StateQuery>>> queries_;
};

}  // namespace tidemill
