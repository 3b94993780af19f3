// The simulation is worth something only if it notices: each rule, broken, must make some seed
// fail.
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <gtest/gtest.h>
#include <string>

#include "tests/simulation/simulation.h"

namespace tidemill::simulation {
namespace {

constexpr std::uint64_t kSeeds = 60;

class BrokenRule : public ::testing::TestWithParam<const char*> {};

TEST_P(BrokenRule, IsNoticed) {
  ::setenv("TIDEMILL_BREAK", GetParam(), 1);
  std::uint64_t noticed = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds && noticed == 0; ++seed) {
    try {
      if (!run(seed).is_right) noticed = seed;
    } catch (const std::exception&) {
      noticed = seed;
    }
  }
  ::unsetenv("TIDEMILL_BREAK");
  EXPECT_NE(noticed, 0U) << "no seed noticed that the rule is broken: " << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Rules, BrokenRule,
                         ::testing::Values("watermark_maximum", "forget_position", "accept_late",
                                           "no_alignment", "partials_behind_watermark"),
                         [](const auto& rule) { return std::string(rule.param); });

TEST(UnbrokenRules, AreRight) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Verdict verdict = run(seed);
    ASSERT_TRUE(verdict.is_right) << verdict.difference;
  }
}

}  // namespace
}  // namespace tidemill::simulation
