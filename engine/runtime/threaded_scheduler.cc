#include "engine/runtime/threaded_scheduler.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace tidemill {
namespace {

using SteadyClock = std::chrono::steady_clock;
// A parked thread costs tens of microseconds to wake, so a short spin pays when data trickles in.
// It must not yield: a scheduler that is fair may give the core away for a whole time slice.
constexpr auto kSpinFor = std::chrono::microseconds(20);
constexpr auto kTickEvery = std::chrono::milliseconds(1);
constexpr auto kParkAtMost = std::chrono::microseconds(1000);

// Other tasks of a worker wait no longer than this and one step.
constexpr auto kStepFor = std::chrono::microseconds(500);
constexpr int kUntimedSteps = 4;

// A few steps in a row keep a task's data in the cache. What has been sent is taken in before more
// is read, so that little of it waits: in the cache of the core that wrote it, not behind.
int steps_in_a_row(const Task& task, std::size_t tasks_of_worker) {
  if (!task.is_source()) return 16;
  return tasks_of_worker == 1 ? 4 : 1;
}

}  // namespace

ThreadedScheduler::ThreadedScheduler(Job& job, std::size_t workers) {
  workers = std::max<std::size_t>(1, workers);
  for (std::size_t i = 0; i < workers; ++i) workers_.push_back(std::make_unique<Worker>());
  for (std::size_t t = 0; t < job.tasks().size(); ++t)
    workers_[job.worker_of(t, workers)]->tasks.push_back(job.tasks()[t].get());
  std::erase_if(workers_, [](const auto& worker) { return worker->tasks.empty(); });
  std::vector<Wakeup*> wakeups;
  for (const auto& worker : workers_) wakeups.push_back(&worker->wakeup);
  job.connect_wakeups(wakeups);
  for (const auto& worker : workers_)
    worker->thread = std::thread([this, w = worker.get()] { run(*w); });
}

ThreadedScheduler::~ThreadedScheduler() { stop(); }

void ThreadedScheduler::stop() {
  stopping_.store(true, std::memory_order_release);
  wake_all();
  for (const auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
}

void ThreadedScheduler::wake_all() {
  for (const auto& worker : workers_) worker->wakeup.notify();
}

void ThreadedScheduler::rethrow_failure() {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
}

void ThreadedScheduler::fail(std::exception_ptr what) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(what);
  }
  failed_.store(true, std::memory_order_release);
  stopping_.store(true, std::memory_order_release);
  wake_all();
}

void ThreadedScheduler::run(Worker& worker) {
  std::size_t turn = 0;
  auto idle_since = SteadyClock::now();
  auto last_tick = idle_since;
  bool ended = false;
  try {
    while (!stopping_.load(std::memory_order_acquire)) {
      bool worked = false;
      auto now = SteadyClock::now();
      for (Task* task : worker.tasks) {
        const auto begin = now;
        bool has_worked = false;
        auto last = Task::Step::kWorked;
        const int at_most = steps_in_a_row(*task, worker.tasks.size());
        for (int n = 0; n < at_most && last == Task::Step::kWorked; ++n) {
          if (n >= kUntimedSteps && SteadyClock::now() - begin >= kStepFor) break;
          last = task->step(turn++);
          has_worked = has_worked || last == Task::Step::kWorked;
        }
        now = SteadyClock::now();
        task->meter().stepped(begin.time_since_epoch(), now.time_since_epoch(), has_worked,
                              last == Task::Step::kBlocked ? TaskMeter::State::kBackPressured
                                                           : TaskMeter::State::kIdle);
        worked = worked || has_worked;
      }
      if (now - last_tick >= kTickEvery) {
        last_tick = now;
        for (Task* task : worker.tasks) task->tick();
      }
      if (!ended && std::all_of(worker.tasks.begin(), worker.tasks.end(),
                                [](Task* t) { return t->has_ended(); })) {
        ended = true;
        ended_workers_.fetch_add(1, std::memory_order_acq_rel);
      }
      if (worked) {
        idle_since = now;
      } else if (now - idle_since > kSpinFor) {
        worker.wakeup.park(kParkAtMost);
      }
    }
  } catch (...) {
    fail(std::current_exception());
  }
}

}  // namespace tidemill
