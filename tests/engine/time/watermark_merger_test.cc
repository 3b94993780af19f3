#include "engine/time/watermark_merger.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace tidemill {
namespace {

TEST(WatermarkMergerTest, MergedIsTheLeastOfTheActive) {
  WatermarkMerger merger(2);
  EXPECT_FALSE(merger.advance(0, {10}));
  EXPECT_EQ(merger.advance(1, {5}), EventTime{5});
  EXPECT_EQ(merger.advance(1, {20}), EventTime{10});
  EXPECT_EQ(merger.holder(), 0U);
}

TEST(WatermarkMergerTest, NeverMovesBack) {
  WatermarkMerger merger(1);
  EXPECT_EQ(merger.advance(0, {10}), EventTime{10});
  EXPECT_FALSE(merger.advance(0, {9}));
  EXPECT_FALSE(merger.advance(0, {10}));
  EXPECT_EQ(merger.merged(), EventTime{10});
}

TEST(WatermarkMergerTest, IdleInputsAreLeftOutAtOnce) {
  WatermarkMerger merger(2);
  merger.advance(0, {10});
  merger.advance(1, {5});
  EXPECT_EQ(merger.set_idle(1), EventTime{10});
  EXPECT_FALSE(merger.is_idle());
  EXPECT_EQ(merger.advance(0, {12}), EventTime{12});
}

TEST(WatermarkMergerTest, TheLastToGoIdleReachesTheGreatestOfAll) {
  for (const std::size_t first : {0U, 1U}) {
    WatermarkMerger merger(2);
    merger.advance(0, {10});
    merger.advance(1, {5});
    merger.set_idle(first);
    merger.set_idle(1 - first);
    EXPECT_EQ(merger.merged(), EventTime{10}) << "first " << first;
    EXPECT_TRUE(merger.is_idle());
    EXPECT_FALSE(merger.holder());
  }
}

// What a source says that ends while it is idle.
TEST(WatermarkMergerTest, AWatermarkOfAnIdleInputCountsWhileNoneIsActive) {
  WatermarkMerger merger(2);
  merger.advance(0, {10});
  merger.set_idle(0);
  EXPECT_FALSE(merger.advance(0, {15})) << "input 1 is active and has said nothing";
  EXPECT_EQ(merger.set_idle(1), EventTime{15});
  EXPECT_EQ(merger.advance(0, {20}), EventTime{20});
  EXPECT_TRUE(merger.is_idle());
}

TEST(WatermarkMergerTest, AReturnedInputIsRaisedAndWaitedFor) {
  WatermarkMerger merger(2);
  merger.advance(0, {10});
  merger.advance(1, {2});
  merger.set_idle(1);
  merger.activate(1);
  EXPECT_EQ(merger.of(1), EventTime{10});
  EXPECT_FALSE(merger.advance(0, {30}));
  EXPECT_EQ(merger.merged(), EventTime{10});
  EXPECT_EQ(merger.advance(1, {20}), EventTime{20});
}

TEST(WatermarkMergerTest, FinishRaisesAndLeavesOutInOneStep) {
  WatermarkMerger merger(2);
  merger.advance(0, {10});
  merger.advance(1, {30});
  EXPECT_EQ(merger.finish(0, {20}), EventTime{30});
  EXPECT_FALSE(merger.all_finished());
  EXPECT_EQ(merger.finish(1, {25}), std::nullopt);
  EXPECT_TRUE(merger.all_finished());
  EXPECT_FALSE(merger.is_idle());
}

TEST(WatermarkMergerTest, TheGreatestIncludesFinishedInputs) {
  WatermarkMerger merger(2);
  merger.advance(1, {5});
  merger.finish(0, {50});
  EXPECT_EQ(merger.merged(), EventTime{5});
  EXPECT_EQ(merger.set_idle(1), EventTime{50});
}

TEST(WatermarkMergerTest, RestoredInputsKeepTheirOwnWatermarks) {
  WatermarkMerger merger(0);
  merger.add_input({10});
  merger.add_input({5});
  merger.restore({5});
  EXPECT_EQ(merger.of(0), EventTime{10});
  EXPECT_EQ(merger.of(1), EventTime{5});
  EXPECT_EQ(merger.advance(1, {7}), EventTime{7});
}

TEST(WatermarkMergerTest, ANewInputBeginsAtTheMergedWatermark) {
  WatermarkMerger merger(1);
  merger.advance(0, {10});
  const std::size_t added = merger.add_input();
  EXPECT_EQ(merger.of(added), EventTime{10});
  EXPECT_FALSE(merger.advance(0, {20}));
}

// Against the definition: the minimum over the active, the maximum once none is, never back.
TEST(WatermarkMergerTest, AgreesWithTheDefinitionAtRandom) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 500; ++round) {
    const std::size_t n = 1 + random() % 4;
    WatermarkMerger merger(n);
    std::vector<EventTime> times(n, EventTime::min());
    std::vector<int> states(n, 0);  // 0 active, 1 idle, 2 finished
    EventTime merged = EventTime::min();
    for (int step = 0; step < 30; ++step) {
      const std::size_t i = random() % n;
      const EventTime t{static_cast<std::int64_t>(random() % 100)};
      if (states[i] == 2) continue;
      switch (random() % 4) {
        case 0:
          merger.set_idle(i);
          states[i] = 1;
          break;
        case 1:
          if (random() % 8 != 0) break;
          merger.finish(i, t);
          times[i] = std::max(times[i], t);
          states[i] = 2;
          break;
        default:
          merger.activate(i);
          if (states[i] == 1) times[i] = std::max(times[i], merged);
          states[i] = 0;
          merger.advance(i, t);
          times[i] = std::max(times[i], t);
      }
      EventTime least = EventTime::max();
      for (std::size_t k = 0; k < n; ++k) {
        if (states[k] == 0) least = std::min(least, times[k]);
      }
      merged =
          std::max(merged, least == EventTime::max() ? *std::ranges::max_element(times) : least);
      ASSERT_EQ(merger.merged(), merged) << "round " << round << ", step " << step;
    }
  }
}

}  // namespace
}  // namespace tidemill
