#include "bench/latency/log_linear.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <vector>

namespace tidemill {
namespace {

// Over all magnitudes: as many durations to each power of two.
std::vector<std::int64_t> durations(std::size_t count) {
  std::mt19937_64 random(7);
  std::vector<std::int64_t> all;
  for (std::size_t i = 0; i < count; ++i)
    all.push_back(static_cast<std::int64_t>(random() % (std::uint64_t{1} << 37) >> random() % 37));
  return all;
}

template <int kBits>
void quantiles_equal_those_of_sorted_values() {
  auto all = durations(100'000);
  const auto histogram = std::make_unique<LogLinear<kBits>>();
  for (const std::int64_t ns : all) histogram->record(ns);
  std::sort(all.begin(), all.end());
  for (const double share : {0.0001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
    const auto i = static_cast<std::size_t>(std::ceil(share * static_cast<double>(all.size())));
    const std::int64_t exact = all[i - 1];
    EXPECT_GE(histogram->quantile(share), exact) << share;
    EXPECT_LE(static_cast<double>(histogram->quantile(share)),
              static_cast<double>(exact) * (1 + std::exp2(-kBits)))
        << share;
  }
  EXPECT_EQ(histogram->greatest(), all.back());
  EXPECT_EQ(histogram->quantile(1), all.back());
}

TEST(LogLinear, QuantilesEqualThoseOfSortedValues) {
  quantiles_equal_those_of_sorted_values<10>();
  quantiles_equal_those_of_sorted_values<4>();
}

TEST(LogLinear, NearlyEachBucketEndIsItsOwn) {
  for (std::int64_t power = 1; power < LogLinear<10>::kLongest; power *= 2) {
    for (const std::int64_t ns : {power - 1, power, power + 1}) {
      LogLinear<10> one;
      one.record(ns);
      one.record(LogLinear<10>::kLongest);  // so that the greatest does not decide
      EXPECT_GE(one.quantile(0.5), ns);
      EXPECT_LE(one.quantile(0.5), ns + (ns >> 10));
    }
  }
}

TEST(LogLinear, MergingIsRecordingBoth) {
  LogLinear<4> one;
  LogLinear<4> other;
  LogLinear<4> both;
  for (const std::int64_t ns : durations(1000)) {
    (ns % 2 == 0 ? one : other).record(ns, 3);
    both.record(ns, 3);
  }
  one.merge(other);
  EXPECT_EQ(one.count(), 3000U);
  EXPECT_EQ(one.greatest(), both.greatest());
  for (const double share : {0.1, 0.5, 0.99}) EXPECT_EQ(one.quantile(share), both.quantile(share));
}

TEST(LogLinear, WhatIsBeyondItsEndsCountsAtThem) {
  LogLinear<10> histogram;
  histogram.record(-5);
  EXPECT_EQ(histogram.quantile(0.5), 0);
  histogram.record(LogLinear<10>::kLongest * 4, 2);
  EXPECT_EQ(histogram.quantile(0.99), LogLinear<10>::kLongest);
  EXPECT_EQ(histogram.greatest(), LogLinear<10>::kLongest * 4);
}

TEST(LogLinear, OfNothingIsZero) {
  const LogLinear<4> none;
  EXPECT_EQ(none.quantile(0.5), 0);
  EXPECT_EQ(none.quantile(1), 0);
}

}  // namespace
}  // namespace tidemill
