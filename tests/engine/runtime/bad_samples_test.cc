#include "engine/runtime/bad_samples.h"

#include <gtest/gtest.h>

namespace tidemill {
namespace {

using namespace std::chrono_literals;

BadRecord record(int number) {
  return {"malformed", "events/0 offset " + std::to_string(number), "x"};
}

TEST(BadSamples, KeepTheLatestOfEachReason) {
  BadSamples samples;
  for (int i = 0; i < 40; ++i) samples.offer(i * 20ms, "malformed", [&] { return record(i); });
  samples.offer(0ms, "future", [] { return BadRecord{"future", "events/1 offset 7", "{}"}; });
  const auto kept = samples.records();
  ASSERT_EQ(kept.size(), BadSamples::kMost + 1);
  EXPECT_EQ(kept.front().origin, "events/1 offset 7");
  EXPECT_EQ(kept[1].origin, "events/0 offset 8");
  EXPECT_EQ(kept.back().origin, "events/0 offset 39");
}

TEST(BadSamples, OfAFloodOneIn10MsIsMade) {
  BadSamples samples;
  int made = 0;
  const auto flood = [&](std::chrono::nanoseconds now) {
    for (int i = 0; i < 1000; ++i) {
      samples.offer(now, "malformed", [&] {
        ++made;
        return record(i);
      });
    }
  };
  flood(1s);
  EXPECT_EQ(made, BadSamples::kMost);
  flood(2s);
  EXPECT_EQ(made, BadSamples::kMost + 1);
}

TEST(BadSamples, ReasonsAreBounded) {
  BadSamples samples;
  for (int i = 0; i < 1000; ++i)
    samples.offer(1s, "reason " + std::to_string(i), [&] { return record(i); });
  EXPECT_EQ(samples.records().size(), BadSamples::kMostReasons);
}

}  // namespace
}  // namespace tidemill
