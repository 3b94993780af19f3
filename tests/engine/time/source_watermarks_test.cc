#include "engine/time/source_watermarks.h"

#include <gtest/gtest.h>

namespace tidemill {
namespace {

class SourceWatermarksTest : public ::testing::Test {
 protected:
  ManualClock clock_;
  SourceWatermarks event_time_{clock_, Duration(10)};
};

TEST_F(SourceWatermarksTest, RestoredSplitsOfOneSourceDoNotRaiseEachOther) {
  const auto fast = event_time_.add_split("fast", EventTime{20});
  const auto slow = event_time_.add_split("slow", EventTime{5});
  event_time_.start();
  EXPECT_EQ(event_time_.merged(), EventTime{5});
  EXPECT_EQ(event_time_.activate(slow), EventTime{5});
  event_time_.advance(slow, {7});
  EXPECT_EQ(event_time_.merged(), EventTime{7});
  EXPECT_EQ(event_time_.snapshot_of(fast), EventTime{20});
}

TEST_F(SourceWatermarksTest, ASplitThatTheCheckpointDoesNotKnowJoinsAtTheMergedWatermark) {
  event_time_.add_split("known", EventTime{20});
  const auto fresh = event_time_.add_split("fresh", std::nullopt);
  event_time_.start();
  EXPECT_EQ(event_time_.merged(), EventTime{20});
  EXPECT_EQ(event_time_.activate(fresh), EventTime{20});
}

TEST_F(SourceWatermarksTest, AnIdleSplitIsStoredAtTheMergedWatermark) {
  const auto a = event_time_.add_split("a", std::nullopt);
  const auto b = event_time_.add_split("b", std::nullopt);
  event_time_.start();
  event_time_.advance(a, {30});
  event_time_.set_idle(b);
  EXPECT_EQ(event_time_.merged(), EventTime{30});
  EXPECT_EQ(event_time_.snapshot_of(b), EventTime{30});
}

TEST_F(SourceWatermarksTest, WhileHeldNothingShowsAndThenAllAtOnce) {
  const auto a = event_time_.add_split("a", std::nullopt);
  const auto b = event_time_.add_split("b", std::nullopt);
  event_time_.start();
  event_time_.hold(SourceWatermarks::Hold::kAll);
  event_time_.advance(a, {30});
  event_time_.advance(b, {20});
  event_time_.set_idle(b);
  EXPECT_EQ(event_time_.merged(), EventTime::min());
  event_time_.set_idle(a);
  EXPECT_FALSE(event_time_.is_idle());
  event_time_.hold(SourceWatermarks::Hold::kNothing);
  EXPECT_EQ(event_time_.merged(), EventTime{30});
  EXPECT_TRUE(event_time_.is_idle());
}

TEST_F(SourceWatermarksTest, TheEndCanBeHeldBackBehindTheLastWatermark) {
  const auto a = event_time_.add_split("a", std::nullopt);
  event_time_.start();
  event_time_.set_idle(a);
  event_time_.hold(SourceWatermarks::Hold::kEnd);
  event_time_.finish(a, {30});
  EXPECT_EQ(event_time_.merged(), EventTime{30});
  EXPECT_FALSE(event_time_.all_finished());
  EXPECT_TRUE(event_time_.is_idle()) << "the end of an idle source does not make it active";
  event_time_.hold(SourceWatermarks::Hold::kNothing);
  EXPECT_TRUE(event_time_.all_finished());
  EXPECT_FALSE(event_time_.is_idle());
}

TEST_F(SourceWatermarksTest, ASplitTooFarAheadWaitsForTheLeastActiveOne) {
  const auto fast = event_time_.add_split("fast", std::nullopt);
  const auto slow = event_time_.add_split("slow", std::nullopt);
  event_time_.start();
  event_time_.advance(slow, {5});
  event_time_.advance(fast, {15});
  EXPECT_FALSE(event_time_.must_wait(fast));
  event_time_.advance(fast, {16});
  EXPECT_TRUE(event_time_.must_wait(fast));
  EXPECT_FALSE(event_time_.must_wait(slow));
  event_time_.set_idle(slow);
  EXPECT_FALSE(event_time_.must_wait(fast));
}

TEST_F(SourceWatermarksTest, TheHolderIsNamedWithItsDistanceAndSince) {
  const auto fast = event_time_.add_split("fast", std::nullopt);
  const auto slow = event_time_.add_split("slow", std::nullopt);
  event_time_.start();
  event_time_.advance(slow, {5});
  clock_.advance(3s);
  event_time_.advance(fast, {9});
  const auto holder = event_time_.holder();
  ASSERT_TRUE(holder);
  EXPECT_EQ(holder->split, "slow");
  EXPECT_EQ(holder->behind, Duration(4));
  EXPECT_EQ(holder->since, std::chrono::seconds(3));
}

TEST_F(SourceWatermarksTest, ASourceWithoutSplitsHasNotEnded) {
  event_time_.start();
  event_time_.hold(SourceWatermarks::Hold::kAll);
  event_time_.hold(SourceWatermarks::Hold::kNothing);
  EXPECT_FALSE(event_time_.all_finished());
}

}  // namespace
}  // namespace tidemill
