// Tests: one thread steps the same tasks in a seeded order. A seed names one interleaving and can
// be run again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "engine/runtime/job.h"

namespace tidemill {

class SeededScheduler {
 public:
  // Seed 0: round robin.
  SeededScheduler(Job& job, std::uint64_t seed) : job_(job), random_(seed), is_random_(seed != 0) {}

  // Steps one task; false if that task had nothing to do.
  bool step();
  // Until no task has anything to do (sources that could poll have been asked).
  void run_until_quiet();
  // Gives every task its tick.
  void tick();

 private:
  Job& job_;
  std::mt19937_64 random_;
  const bool is_random_;
  std::size_t next_ = 0;
};

}  // namespace tidemill
