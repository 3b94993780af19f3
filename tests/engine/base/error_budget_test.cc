#include "engine/base/error_budget.h"

#include <gtest/gtest.h>

namespace tidemill {
namespace {

TEST(ErrorBudgetTest, CountsOverTwoMinutesAtMost) {
  using std::chrono::seconds;
  ErrorBudget none({});
  EXPECT_FALSE(none.count_error(seconds(1)));

  ErrorBudget three({.errors_per_minute = 3});
  EXPECT_TRUE(three.count_error(seconds(10)));
  EXPECT_TRUE(three.count_error(seconds(50)));
  EXPECT_TRUE(three.count_error(seconds(70)));
  EXPECT_FALSE(three.count_error(seconds(100)));
  EXPECT_TRUE(three.count_error(seconds(500)));

  ErrorBudget share({.error_share = 0.1});
  for (int i = 0; i < 20; ++i) share.count(seconds(1));
  EXPECT_TRUE(share.count_error(seconds(2)));
  EXPECT_TRUE(share.count_error(seconds(2)));
  EXPECT_FALSE(share.count_error(seconds(2)));
}

}  // namespace
}  // namespace tidemill
