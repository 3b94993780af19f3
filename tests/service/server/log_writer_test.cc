#include "service/server/log_writer.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/files.h"
#include "service/server/job_folder.h"

namespace tidemill::server {
namespace {

using testing::ElementsAre;

class LogFiles : public testing::Test {
 protected:
  LogFiles() {
    std::string name = "/tmp/tidemill-log-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    file_ = folder_ / "job.log";
  }
  ~LogFiles() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
  std::filesystem::path file_;
};

TEST_F(LogFiles, RotatesBetweenLinesAndKeepsSoMany) {
  {
    RotatingLog log(file_, 10, 2);
    for (const char* text :
         {"first line\n", "second ", "line\n", "third line\n", "fourth line\n", "5\n"})
      log.write(text);
  }
  EXPECT_EQ(read_file(file_), "5\n");
  EXPECT_EQ(read_file(file_.string() + ".1"), "fourth line\n");
  EXPECT_EQ(read_file(file_.string() + ".2"), "third line\n");
  EXPECT_FALSE(std::filesystem::exists(file_.string() + ".3"));
  EXPECT_THAT(last_lines(file_, 2), ElementsAre("fourth line", "5"));
  EXPECT_THAT(last_lines(file_, 100), ElementsAre("third line", "fourth line", "5"));
}

TEST_F(LogFiles, LinesAreReadOverBlocks) {
  std::ofstream out(file_);
  for (int i = 0; i < 30'000; ++i) out << "line " << i << "\n";
  out << "open end";
  out.close();
  const auto lines = last_lines(file_, 20'001);
  ASSERT_EQ(lines.size(), 20'001);
  EXPECT_EQ(lines.front(), "line 10000");
  EXPECT_EQ(lines[19'999], "line 29999");
  EXPECT_EQ(lines.back(), "open end");
  EXPECT_EQ(last_lines(file_, 100'000).size(), 30'001);
  EXPECT_TRUE(last_lines(folder_ / "none", 5).empty());
}

TEST(LastWords, AreTheLastErrorOrTheLastLine) {
  LastWords words;
  words.add("2026-11-28T10:00:00.000Z info started\n2026-11-28T10:00:00.000Z error fi");
  words.add("rst\n  \nevents 5\n");
  EXPECT_EQ(words.cause(false), "first");
  EXPECT_EQ(words.cause(true), "events 5");
  words.add("error: second: 5\n");
  words.add(R"({"time":"x","level":"info","message":"nothing"})"
            "\n");
  EXPECT_EQ(words.cause(false), "second: 5");
  words.add(R"({"time":"x","level":"error","message":"third"})"
            "\n");
  EXPECT_EQ(words.cause(false), "third");
  words.add("a.cc:5: invariant broken: x");
  EXPECT_EQ(words.cause(true), "a.cc:5: invariant broken: x");
}

TEST(JobName, IsPartOfAPath) {
  for (const char* good : {"a", "features.jan", "A-b_c.9"}) EXPECT_TRUE(is_job_name(good)) << good;
  for (const std::string& bad :
       std::vector<std::string>{"", ".", "..", ".a", "a/b", "a b", "ä", std::string(65, 'a')})
    EXPECT_FALSE(is_job_name(bad)) << bad;
}

}  // namespace
}  // namespace tidemill::server
