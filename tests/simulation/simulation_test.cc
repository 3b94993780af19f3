// TIDEMILL_SEEDS=N runs that many seeds, TIDEMILL_SEED=S one of them.
#include "tests/simulation/simulation.h"

#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>

namespace tidemill::simulation {
namespace {

std::uint64_t number(const char* variable, std::uint64_t fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

TEST(Simulation, CommittedRowsEqualTheOracle) {
  if (const std::uint64_t seed = number("TIDEMILL_SEED", 0); seed != 0) {
    const Verdict verdict = run(seed);
    EXPECT_TRUE(verdict.is_right) << verdict.difference;
    return;
  }
  for (std::uint64_t seed = 1; seed <= number("TIDEMILL_SEEDS", 300); ++seed) {
    const Verdict verdict = run(seed);
    ASSERT_TRUE(verdict.is_right) << verdict.difference << "\nagain: TIDEMILL_SEED=" << seed;
  }
}

}  // namespace
}  // namespace tidemill::simulation
