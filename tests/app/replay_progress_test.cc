#include "app/replay_progress.h"

#include <gtest/gtest.h>

namespace tidemill {
namespace {

TEST(ReplayProgress, IsInEventTime) {
  const ReplayProgress p = replay_progress({1'000'000, 2'000'000, 1'250'000, false, 50.0});
  EXPECT_EQ(p.percent, 25.0);
  EXPECT_EQ(p.eta_s, 15.0) << "750 s of event time at 50 a second";
  EXPECT_EQ(p.at_ms, 1'250'000);
}

TEST(ReplayProgress, IsNotKnownWithoutAnEndOrATime) {
  for (const ReplayFacts& facts : {ReplayFacts{1'000, std::nullopt, 2'000, false, 1.0},
                                   ReplayFacts{1'000, 5'000, std::nullopt, false, 1.0},
                                   ReplayFacts{std::nullopt, 5'000, 2'000, false, 1.0},
                                   ReplayFacts{5'000, 5'000, 5'000, false, 1.0}}) {
    EXPECT_FALSE(replay_progress(facts).percent);
    EXPECT_FALSE(replay_progress(facts).eta_s);
  }
  EXPECT_FALSE(replay_progress({0, 100, 50, false, 0.0}).eta_s) << "it stands";
}

TEST(ReplayProgress, StaysWithinItsRangeAndEndsAtAHundred) {
  EXPECT_EQ(replay_progress({1'000, 2'000, 500, false, 1.0}).percent, 0.0);
  EXPECT_EQ(replay_progress({1'000, 2'000, 2'500, false, 1.0}).percent, 100.0);
  const ReplayProgress done = replay_progress({1'000, 2'000, std::nullopt, true, std::nullopt});
  EXPECT_EQ(done.percent, 100.0);
  EXPECT_EQ(done.eta_s, 0.0);
  EXPECT_EQ(done.at_ms, 2'000);
}

}  // namespace
}  // namespace tidemill
