#include "engine/runtime/seeded_scheduler.h"

namespace tidemill {

bool SeededScheduler::step() {
  auto& tasks = job_.tasks();
  const std::size_t pick = is_random_ ? random_() % tasks.size() : next_++ % tasks.size();
  const std::size_t turn = is_random_ ? random_() % 64 : next_;
  return tasks[pick]->step(turn) == Task::Step::kWorked;
}

void SeededScheduler::run_until_quiet() {
  auto& tasks = job_.tasks();
  while (true) {
    bool worked = false;
    const std::size_t tries = tasks.size() * (is_random_ ? 4 : 1);
    for (std::size_t i = 0; i < tries; ++i) worked = step() || worked;
    if (worked) continue;
    // Nothing by chance is not nothing: ask everyone once, in order.
    for (const auto& task : tasks) worked = task->step(next_++) == Task::Step::kWorked || worked;
    if (!worked) return;
  }
}

void SeededScheduler::tick() {
  for (const auto& task : job_.tasks()) task->tick();
}

}  // namespace tidemill
