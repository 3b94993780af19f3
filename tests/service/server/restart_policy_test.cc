#include "service/server/restart_policy.h"

#include <gtest/gtest.h>

namespace tidemill::server {
namespace {

RunEnd failed(std::int64_t at_ms, const std::string& cause, bool committed = false) {
  return {at_ms, 1, std::nullopt, cause, committed};
}

TEST(RestartPolicy, WaitsTwiceAsLongEachTimeUpToTheLongest) {
  RestartPolicy policy({});
  std::int64_t at = 0;
  for (const std::int64_t wait : {1'000, 2'000, 4'000, 8'000, 16'000, 32'000, 60'000, 60'000}) {
    EXPECT_EQ(
        policy.on_end(failed(at, "cause " + std::string(1, static_cast<char>('a' + at % 26)))),
        AfterEnd::kRetry);
    EXPECT_EQ(policy.start_at_ms() - at, wait);
    at += 100'000;
  }
}

TEST(RestartPolicy, StartsAnewAfterACheckpoint) {
  RestartPolicy policy({});
  for (int i = 0; i < 5; ++i) policy.on_end(failed(i, "x"));
  policy.on_end(failed(10, "x", true));
  EXPECT_EQ(policy.start_at_ms(), 1'010);
  EXPECT_EQ(policy.failures(), 1);
  EXPECT_FALSE(policy.loop());
}

TEST(RestartPolicy, ALoopIsOneCauseAgainAndAgain) {
  RestartPolicy policy({});
  policy.on_end(failed(0, "broker gone"));
  policy.on_end(failed(1'000, "bad record at offset 17"));
  policy.on_end(failed(2'000, "bad record at offset 171"));
  EXPECT_FALSE(policy.loop());
  policy.on_end(failed(3'000, "bad record at offset 9"));
  ASSERT_TRUE(policy.loop());
  EXPECT_EQ(policy.loop()->count, 3);
  EXPECT_EQ(policy.loop()->cause, "bad record at offset 9");
  EXPECT_EQ(policy.loop()->since_ms, 1'000);
  policy.on_commit();
  EXPECT_FALSE(policy.loop());
}

TEST(RestartPolicy, DifferentCausesOrLongAgoAreNoLoop) {
  RestartPolicy policy({});
  policy.on_end(failed(0, "a"));
  policy.on_end(failed(1, "b"));
  policy.on_end({2, std::nullopt, 9, "a", false});
  EXPECT_FALSE(policy.loop());
  policy.on_end(failed(700'000, "a"));
  policy.on_end(failed(700'001, "a"));
  EXPECT_FALSE(policy.loop());
}

TEST(RestartPolicy, KillsAreALoopToo) {
  RestartPolicy policy({});
  for (int i = 0; i < 3; ++i)
    policy.on_end(
        {i, std::nullopt, 9, "line " + std::string(1, static_cast<char>('a' + i)), false});
  EXPECT_TRUE(policy.loop());
}

TEST(RestartPolicy, RetriesNeitherAWrongConfigurationNorARefusalNorTheEnd) {
  RestartPolicy policy({});
  EXPECT_EQ(policy.on_end({0, 2, std::nullopt, "x", false}), AfterEnd::kFailed);
  EXPECT_EQ(policy.on_end({0, 3, std::nullopt, "x", false}), AfterEnd::kFailed);
  EXPECT_EQ(policy.on_end({0, 0, std::nullopt, "", false}), AfterEnd::kDone);
  EXPECT_EQ(policy.on_end({0, 127, std::nullopt, "", false}), AfterEnd::kRetry);
  EXPECT_EQ(policy.on_end({0, std::nullopt, std::nullopt, "", false}), AfterEnd::kRetry);
}

TEST(RestartPolicy, StaysDownWhenTheBudgetIsSpent) {
  RestartSettings settings;
  settings.limit = 3;
  RestartPolicy policy(settings);
  EXPECT_EQ(policy.on_end(failed(0, "a")), AfterEnd::kRetry);
  EXPECT_EQ(policy.on_end(failed(0, "b")), AfterEnd::kRetry);
  EXPECT_EQ(policy.on_end(failed(0, "c")), AfterEnd::kFailed);
}

}  // namespace
}  // namespace tidemill::server
