// How a table keeps text, and how it remembers sizes.
#include <gtest/gtest.h>
#include <string>

#include "state/table.h"

namespace tidemill {
namespace {

TEST(InlineText, HoldsTextOfAnyLength) {
  for (std::size_t n = 0; n < 300; ++n) {
    const std::string text(n, static_cast<char>(n));
    const InlineText held(text);
    EXPECT_EQ(held.view(), text);
    EXPECT_EQ(held.heap_size() > 0, n > 24) << n;
  }
}

TEST(InlineText, MakesOneCacheLineWithTotalsOf32Bytes) {
  struct Totals {
    std::int64_t all[4];
  };
  EXPECT_EQ(sizeof(Table<std::string, Totals>::Entry), 64U);
}

TEST(RoughSize, IsNeverLessAndLittleMore) {
  for (std::size_t bytes = 0; bytes < (std::size_t{1} << 31); bytes += 1 + bytes / 50) {
    const std::size_t rough = RoughSize(bytes).bytes();
    EXPECT_GE(rough, bytes);
    EXPECT_LE(rough, bytes + 15 + bytes / 1024);
  }
  EXPECT_GE(RoughSize(std::size_t{1} << 40).bytes(), std::size_t{1} << 30)
      << "it stays at the most";
}

}  // namespace
}  // namespace tidemill
