// Production: one worker thread per core steps its tasks; spin, then park when all of them are
// idle.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/runtime/job.h"
#include "engine/runtime/wakeup.h"

namespace tidemill {

// Starts in the constructor, joins in `stop` or the destructor. The job outlives it. Tasks are
// touched by their worker only, from start to join.
class ThreadedScheduler {
 public:
  ThreadedScheduler(Job& job, std::size_t workers);
  ~ThreadedScheduler();
  ThreadedScheduler(const ThreadedScheduler&) = delete;
  ThreadedScheduler& operator=(const ThreadedScheduler&) = delete;

  void stop();
  // Set once a task has thrown; every worker stops then.
  [[nodiscard]] bool has_failed() const { return failed_.load(std::memory_order_acquire); }
  // Rethrows what the first failing task threw.
  void rethrow_failure();
  // Every task has seen its end.
  [[nodiscard]] bool has_ended() const {
    return ended_workers_.load(std::memory_order_acquire) == workers_.size();
  }
  void wake_all();

 private:
  struct Worker {
    std::vector<Task*> tasks;
    Wakeup wakeup;
    std::thread thread;
  };
  void run(Worker& worker);
  void fail(std::exception_ptr what);

  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> failed_{false};
  std::atomic<std::size_t> ended_workers_{0};
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace tidemill
