// SIGTERM and SIGINT: the first asks for a clean stop, a second one ends the process at once, as
// does a stop that takes too long.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "engine/base/time.h"

namespace tidemill {

// Blocks both signals in the calling thread and those it starts later, so construct it before any
// other thread exists. The process exits with 0 at a second signal (nothing is lost: the last
// commit stands), with 1 when `timeout` has passed.
class StopSignals {
 public:
  StopSignals(std::function<void()> on_stop, Duration timeout);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  void run();

  const std::function<void()> on_stop_;
  const Duration timeout_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

}  // namespace tidemill
