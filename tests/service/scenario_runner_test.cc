#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <sstream>
#include <string>

#include "service/scenario/command.h"
#include "service/scenario/parser.h"
#include "service/scenario/runner.h"

namespace tidemill::scenario {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kLate =
    "pipeline  tumbling size=10s lateness=5s count\n"
    "in        a@1s  a@9s\n"
    "watermark 10s        ->  a[0,10s)=2\n"
    "in        a@3s       ->  a[0,10s)=3\n"
    "watermark 16s\n"
    "in        a@4s       ->  late a@4s\n"
    "restart\n"
    "watermark 20s        ->  nothing\n";

TEST(RunnerTest, GivesTheRowsOfEachStep) {
  const auto rows = run(parse(kLate), {});
  EXPECT_THAT(rows, ElementsAre(IsEmpty(), ElementsAre("a[0,10s)=2"), ElementsAre("a[0,10s)=3"),
                                IsEmpty(), ElementsAre("late a@4s"), IsEmpty(), IsEmpty()));
}

TEST(RunnerTest, NoWayOfRunningChangesAResult) {
  const Scenario scenario = parse(kLate);
  for (const bool restart_everywhere : {false, true}) {
    for (const int parallelism : {1, 3}) {
      for (const std::uint64_t seed : {0U, 1U, 2U}) {
        EXPECT_THAT(differences(scenario, {restart_everywhere, parallelism, "memory", seed}),
                    IsEmpty());
      }
    }
  }
}

// p1 is held until the instant at which p0 becomes idle; its own idle time begins there, also where
// another subtask has seen to that before.
TEST(RunnerTest, TimeHeldByAlignmentIsNotIdleTimeInAnySubtask) {
  const Scenario scenario = parse(
      "pipeline watermarks partitions=2 disorder=0 drift=5s idle=10s\n"
      "in p0 a@0\n"
      "in p1 a@20s  -> w=0\n"
      "advance 10s  -> w=20s\n"
      "advance 9s   -> nothing\n"
      "advance 1s   -> idle\n");
  for (const int parallelism : {1, 2, 3}) {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      EXPECT_THAT(differences(scenario, {false, parallelism, "memory", seed}), IsEmpty())
          << "parallelism " << parallelism << ", seed " << seed;
    }
  }
}

TEST(RunnerTest, SaysWhatIsMissingAndWhatIsUnexpected) {
  const auto found = differences(parse("pipeline tumbling size=10s sum\n"
                                       "in a@1s=2 a@2s=2 b@3s\n"
                                       "watermark 10s -> a[0,10s)=5 b[0,10s)=1 b[0,10s)=1\n"),
                                 {});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].line, 3U);
  EXPECT_EQ(found[0].step, "watermark 10s");
  EXPECT_THAT(found[0].missing, ElementsAre("a[0,10s)=5", "b[0,10s)=1"));
  EXPECT_THAT(found[0].unexpected, ElementsAre("a[0,10s)=4"));
}

class CommandTest : public ::testing::Test {
 protected:
  CommandTest() {
    folder_ = std::filesystem::temp_directory_path() /
              ("tidemill-scenario-" + std::to_string(std::random_device{}()));
    std::filesystem::create_directories(folder_);
  }
  ~CommandTest() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) {
    const auto path = folder_ / name;
    std::ofstream(path) << text;
    return path.string();
  }
  int run(const std::vector<std::string>& words) {
    out_.str("");
    err_.str("");
    return run_command(words, out_, err_);
  }

  std::filesystem::path folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(CommandTest, CountsAndExitsAsTheContractSays) {
  const std::string good = file("good", kLate);
  const std::string bad = file("bad", "pipeline watermarks\nwatermark 5s -> w=6s\n");
  const std::string wrong = file("wrong", "pipeline watermarks\nwatermark 5x\n");
  EXPECT_EQ(run({good}), 0);
  EXPECT_EQ(out_.str(), "1 passed, 0 failed\n");
  EXPECT_EQ(run({good, bad}), 1);
  EXPECT_EQ(out_.str(), bad + ":2: watermark 5s\n  - w=6s\n  + w=5s\n1 passed, 1 failed\n");
  EXPECT_EQ(run({bad, wrong}), 2);
  EXPECT_EQ(err_.str(), wrong + ":2:11: not a time: 5x\n");
  EXPECT_EQ(run({folder_ / "missing"}), 2);
}

TEST_F(CommandTest, SkipsIdlenessWhenRestartingEverywhereAndSaysSo) {
  const std::string idle = file("idle", "pipeline watermarks\nidle -> idle\n");
  EXPECT_EQ(run({idle}), 0);
  EXPECT_EQ(run({"--restart-everywhere", idle}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("skipped"));
  EXPECT_THAT(out_.str(), HasSubstr("0 passed, 0 failed\n"));
}

TEST_F(CommandTest, WrongUsageIsSaidAndExits2) {
  const std::string good = file("good", kLate);
  EXPECT_EQ(run({}), 2);
  EXPECT_EQ(run({"--sead", "5", good}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("did you mean --seed?"));
  EXPECT_EQ(run({"--parallelism", "0", good}), 2);
  EXPECT_EQ(run({"--backend", "disk", good}), 2);
  EXPECT_EQ(run({"--seed"}), 2);
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_EQ(run({"--seed=3", "--parallelism=2", good}), 0);
}

}  // namespace
}  // namespace tidemill::scenario
