#include "engine/base/metrics.h"

#include <gtest/gtest.h>
#include <limits>

namespace tidemill {
namespace {

TEST(Histogram, BucketsFollowOneAnotherWithoutGap) {
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    const std::uint64_t low = Histogram::lower_bound(i);
    const std::uint64_t end = Histogram::lower_bound(i + 1);
    ASSERT_LT(low, end) << i;
    EXPECT_EQ(Histogram::bucket_of(low), i);
    EXPECT_EQ(Histogram::bucket_of(end - 1), i);
    if (low >= Histogram::kPerPower) {
      EXPECT_LE(end - low, low / Histogram::kPerPower) << "fine enough for a quantile";
    }
  }
}

TEST(Histogram, TakesWhatIsLongerThanAnythingIntoItsLastBucket) {
  EXPECT_EQ(Histogram::bucket_of(std::numeric_limits<std::uint64_t>::max()),
            Histogram::kBuckets - 1);
}

TEST(Histogram, AddsAgesOfYearsOfManyRowsWithoutOverflow) {
  constexpr std::uint64_t kTenYears = 315'360'000'000'000;
  Histogram histogram;
  histogram.record(kTenYears, 1'000'000);
  histogram.record(3);
  EXPECT_EQ(histogram.count(), 1'000'001);
  EXPECT_EQ(histogram.bucket(3), 1);
  EXPECT_EQ(histogram.bucket(Histogram::bucket_of(kTenYears)), 1'000'000);
  EXPECT_NEAR(histogram.sum_us() / 315'360'000'000'000e6, 1, 1e-12);
}

}  // namespace
}  // namespace tidemill
