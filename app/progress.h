// What a person sees while a job runs: one line a second on stderr, rewritten in place on a
// terminal.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "app/environment.h"
#include "engine/base/clock.h"
#include "engine/checkpoint/supervisor.h"

namespace tidemill {

// Starts a thread in the constructor, joins it in the destructor. All references outlive it.
class ProgressReporter {
 public:
  ProgressReporter(const Supervisor& supervisor, const Environment& env, const Clock& clock);
  ~ProgressReporter();
  ProgressReporter(const ProgressReporter&) = delete;
  ProgressReporter& operator=(const ProgressReporter&) = delete;

 private:
  void run();
  std::string line();

  const Supervisor& supervisor_;
  const Environment& env_;
  const Clock& clock_;
  const bool is_terminal_;
  std::uint64_t last_events_ = 0;
  std::chrono::nanoseconds last_at_{};
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread thread_;
};

// Sums over all subtasks, as the final summary and the progress line show them.
struct JobTotals {
  std::uint64_t events = 0;  // records read by sources
  std::uint64_t rows = 0;    // written by the sink that wrote most, those of rejects left out
  std::uint64_t late = 0;
  std::uint64_t bad = 0;
  std::optional<double> lag;  // records not read yet, where the readers know
};
JobTotals totals_of(const Environment& env);

}  // namespace tidemill
