#include "bench/zipf.h"

#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace tidemill {
namespace {

// Counts of a hundred thousand draws against the law itself: the chi-square of 99 degrees of
// freedom is beyond 180 once in a million.
TEST(Zipf, DrawsAsTheLawSays) {
  for (const double exponent : {0.5, 0.99, 1.5}) {
    constexpr std::uint64_t kRanks = 100;
    constexpr int kDraws = 100'000;
    double total = 0;
    for (std::uint64_t k = 1; k <= kRanks; ++k)
      total += std::pow(static_cast<double>(k), -exponent);
    std::mt19937_64 random(7);
    Zipf zipf(kRanks, exponent);
    std::vector<double> counts(kRanks);
    for (int i = 0; i < kDraws; ++i) ++counts.at(zipf(random));
    double chi_square = 0;
    for (std::uint64_t k = 1; k <= kRanks; ++k) {
      const double wanted = kDraws * std::pow(static_cast<double>(k), -exponent) / total;
      chi_square += (counts[k - 1] - wanted) * (counts[k - 1] - wanted) / wanted;
    }
    EXPECT_LT(chi_square, 180) << exponent;
  }
}

TEST(Zipf, OfOneIsTheFirst) {
  std::mt19937_64 random(7);
  Zipf zipf(1, 0.99);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(zipf(random), 0U);
}

}  // namespace
}  // namespace tidemill
