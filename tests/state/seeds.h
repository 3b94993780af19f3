// Seeds of the models' random runs; TIDEMILL_SEEDS=N runs that many, for a longer run by hand.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>

namespace tidemill {

// run(seed) for the seeds from 1 on, up to the first failure.
template <class Run>
void for_each_seed(std::uint64_t by_default, Run run) {
  const char* more = std::getenv("TIDEMILL_SEEDS");
  const std::uint64_t seeds = more != nullptr ? std::strtoull(more, nullptr, 10) : by_default;
  for (std::uint64_t seed = 1; seed <= seeds && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    run(seed);
  }
}

}  // namespace tidemill
