// Where the time of one task goes.
#pragma once

#include <chrono>
#include <string>

#include "engine/base/metrics.h"

namespace tidemill {

// Owned by its task, one thread.
class TaskMeter {
 public:
  enum class State { kBusy, kIdle, kBackPressured };

  TaskMeter(MetricRegistry& metrics, const std::string& task, int subtask)
      : busy_(time_counter(metrics, task, subtask, "busy")),
        idle_(time_counter(metrics, task, subtask, "idle")),
        back_pressured_(time_counter(metrics, task, subtask, "back_pressured")),
        stall_(metrics.histogram("tidemill_checkpoint_stall_seconds",
                                 {{"task", task}, {"subtask", std::to_string(subtask)}})) {}

  // The task was stepped from `begin` to `end` and worked, and then stands in `state`: what passes
  // until it is stepped again counts as that.
  void stepped(std::chrono::nanoseconds begin, std::chrono::nanoseconds end, bool has_worked,
               State state) {
    if (last_end_.count() != 0) add(state_, begin - last_end_);
    add(has_worked ? State::kBusy : state, end - begin);
    state_ = state;
    last_end_ = end;
  }
  // A barrier held the task up for so long.
  void stalled(std::chrono::nanoseconds time) {
    stall_.record(static_cast<std::uint64_t>(time.count() / 1000));
  }

 private:
  static Counter& time_counter(MetricRegistry& metrics, const std::string& task, int subtask,
                               const char* state) {
    return metrics.counter(
        "tidemill_task_time_seconds_total",
        {{"task", task}, {"subtask", std::to_string(subtask)}, {"state", state}});
  }
  void add(State state, std::chrono::nanoseconds time) {
    Counter& counter = state == State::kBusy   ? busy_
                       : state == State::kIdle ? idle_
                                               : back_pressured_;
    counter.add(static_cast<std::uint64_t>(time.count()));
  }

  Counter& busy_;
  Counter& idle_;
  Counter& back_pressured_;
  Histogram& stall_;
  State state_ = State::kIdle;
  std::chrono::nanoseconds last_end_{};
};

}  // namespace tidemill
