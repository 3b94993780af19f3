// The file sink with buckets: what is seen is what is committed, in the folder of its time,
// whatever happens in between.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include "connectors/file/file_sink.h"
#include "connectors/formats/murmur2.h"
#include "engine/base/error.h"
#include "engine/base/metrics.h"
#include "engine/base/time.h"
#include "engine/operator/context.h"
#include "engine/operator/sink.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr EventTime kMidnight{1'767'225'600'000};  // 2026-01-01T00:00Z

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "bucketed-sink-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

struct Checkpoint {
  RestoredOperator state;
  Bytes prepared;
};

// One subtask from a checkpoint to wherever it gets.
class Attempt {
 public:
  Attempt(const SinkSpec& spec, const Checkpoint* from, bool is_by_choice = false)
      : spec_(spec), info_{.job = "job", .next_checkpoint = 9, .is_by_choice = is_by_choice} {
    if (from != nullptr) spec.publish(from->prepared);
    spec.discard_unpublished();
    resources_.lend(info_);
    ctx_.emplace(OperatorContext::Place{.name = "rows"}, resources_, metrics_, clock_,
                 from == nullptr ? nullptr : &from->state);
    sink_ = spec.make(*ctx_);
  }

  void write(EventTime at, const std::string& value, const std::string& key = {}) {
    OutputBatch batch;
    batch.begin_row();
    if (!key.empty()) {
      batch.buffer() += key;
      batch.end_key();
    }
    batch.buffer() += value;
    batch.set_time(at);
    batch.end_row();
    sink_->write(batch);
  }
  // All that was written before; not committed yet.
  Checkpoint take() {
    StageSnapshot snapshot;
    for (Snapshotable* part : ctx_->snapshotables()) {
      part->freeze(1);
      while (!part->drain(snapshot, 1)) {
      }
    }
    return {{{{snapshot.parts, {}}}}, snapshot.prepared};
  }
  Checkpoint commit() {
    Checkpoint taken = take();
    spec_.publish(taken.prepared);
    return taken;
  }

 private:
  const SinkSpec& spec_;
  AttemptInfo info_;
  Resources resources_;
  MetricRegistry metrics_;
  SystemClock clock_;
  std::optional<OperatorContext> ctx_;
  std::unique_ptr<Sink> sink_;
};

class BucketedSinkTest : public ::testing::Test {
 protected:
  SinkSpec spec(const std::string& bucket = "day=%Y-%m-%d/%H:%M", int partitions = 1) {
    return file_sink(
        {.dir = dir_, .partitions = partitions, .bucket = bucket, .is_durable = false});
  }
  // Lines that can be seen, by folder.
  [[nodiscard]] std::map<std::string, std::vector<std::string>> seen() const {
    std::map<std::string, std::vector<std::string>> rows;
    for (const auto& entry : fs::recursive_directory_iterator(dir_)) {
      const std::string name = entry.path().filename().string();
      if (!entry.is_regular_file() || !name.ends_with(".jsonl") || name.starts_with(".")) continue;
      std::ifstream in(entry.path());
      auto& lines = rows[entry.path().parent_path().lexically_relative(dir_).string()];
      for (std::string line; std::getline(in, line);) lines.push_back(line);
    }
    return rows;
  }
  [[nodiscard]] std::size_t num_files() const {
    std::size_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(dir_))
      files += entry.is_regular_file();
    return files;
  }

  const TemporaryFolder folder_;
  const fs::path dir_ = folder_.path() / "rows";
};

TEST_F(BucketedSinkTest, RowsAreInTheFolderOfTheirMinuteOnceTheyAreCommitted) {
  const SinkSpec sink = spec();
  Attempt attempt(sink, nullptr);
  attempt.write(kMidnight, "first");
  attempt.write(kMidnight + Duration(59'999), "last");
  attempt.write(kMidnight + Duration(60'000), "next");
  attempt.write(kMidnight - Duration(1), "before");
  attempt.write(EventTime::min(), "never");
  const Checkpoint taken = attempt.take();
  EXPECT_THAT(seen(), IsEmpty());
  sink.publish(taken.prepared);
  EXPECT_THAT(seen(), UnorderedElementsAre(
                          Pair("day=2026-01-01/00:00/partition-0", ElementsAre("first", "last")),
                          Pair("day=2026-01-01/00:01/partition-0", ElementsAre("next")),
                          Pair("day=2025-12-31/23:59/partition-0", ElementsAre("before")),
                          Pair("no-time/partition-0", ElementsAre("never"))));
}

TEST_F(BucketedSinkTest, AKeyDecidesOnThePartitionOfTheBucket) {
  const SinkSpec sink = spec("%Y", 3);
  Attempt attempt(sink, nullptr);
  std::map<std::string, std::vector<std::string>> wanted;
  for (int i = 0; i < 40; ++i) {
    const std::string key = "user-" + std::to_string(i % 20);
    attempt.write(kMidnight, std::to_string(i), key);
    wanted["2026/partition-" + std::to_string(partition_of(key, 3))].push_back(std::to_string(i));
  }
  attempt.commit();
  EXPECT_EQ(wanted.size(), 3);
  EXPECT_EQ(seen(), wanted);
}

TEST_F(BucketedSinkTest, WhatIsNotCommittedIsWrittenAgainAfterARestart) {
  const SinkSpec sink = spec();
  std::optional<Checkpoint> committed;
  {
    Attempt attempt(sink, nullptr);
    attempt.write(kMidnight, "one");
    committed = attempt.commit();
    attempt.write(kMidnight, std::string(300'000, 'x'));  // reaches the file before its time
    attempt.write(kMidnight + Duration(60'000), "lost");
    (void)attempt.take();
  }
  EXPECT_GT(num_files(), 1);
  Attempt attempt(sink, &*committed);
  EXPECT_EQ(num_files(), 1) << "what never counted is gone";
  attempt.write(kMidnight, "two");
  const Checkpoint second = attempt.commit();
  sink.publish(second.prepared);
  EXPECT_THAT(seen(), UnorderedElementsAre(Pair("day=2026-01-01/00:00/partition-0",
                                                UnorderedElementsAre("one", "two"))))
      << "published twice is published once";
}

TEST_F(BucketedSinkTest, ACommitThatWasNotPublishedIsAfterARestart) {
  const SinkSpec sink = spec();
  std::optional<Checkpoint> committed;
  {
    Attempt attempt(sink, nullptr);
    attempt.write(kMidnight, "one");
    committed = attempt.take();
    attempt.write(kMidnight, "not committed");
  }
  const Attempt attempt(sink, &*committed);
  EXPECT_THAT(seen(), ElementsAre(Pair("day=2026-01-01/00:00/partition-0", ElementsAre("one"))));
}

TEST_F(BucketedSinkTest, AnOlderCheckpointIsRefusedUnlessChosen) {
  const SinkSpec sink = spec();
  std::optional<Checkpoint> older;
  {
    Attempt attempt(sink, nullptr);
    attempt.write(kMidnight, "kept");
    older = attempt.commit();
    attempt.write(kMidnight, "given up");
    attempt.write(kMidnight + Duration(60'000), "given up too");
    attempt.commit();
  }
  try {
    const Attempt refused(sink, &*older);
    FAIL() << "rows would be doubled";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kRefused);
    EXPECT_THAT(e.what(), HasSubstr("published by a newer one"));
  }
  Attempt chosen(sink, &*older, true);
  chosen.write(kMidnight, "again");
  EXPECT_EQ(seen().size(), 2) << "it counts until the next commit";
  const Checkpoint next = chosen.commit();
  sink.publish(next.prepared);
  EXPECT_THAT(seen(), ElementsAre(Pair("day=2026-01-01/00:00/partition-0",
                                       UnorderedElementsAre("kept", "again"))));
}

TEST_F(BucketedSinkTest, ANewLineageWritesBesideWhatIsThere) {
  const SinkSpec sink = spec();
  for (const char* row : {"one", "two"}) {
    Attempt attempt(sink, nullptr);
    attempt.write(kMidnight, row);
    attempt.commit();
  }
  EXPECT_THAT(seen(), ElementsAre(Pair("day=2026-01-01/00:00/partition-0",
                                       UnorderedElementsAre("one", "two"))));
}

TEST_F(BucketedSinkTest, MayHaveMoreBucketsThanAProcessMayOpenFiles) {
  constexpr int kBuckets = 200;
  const SinkSpec sink = spec("%Y%m%d/%H%M");
  rlimit former{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &former), 0);
  const rlimit few{64, former.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  Attempt attempt(sink, nullptr);
  const std::string row(45'000, 'x');  // more than may wait in memory
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < kBuckets; ++i) attempt.write(kMidnight + i * Duration(60'000), row);
  }
  attempt.commit();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &former), 0);
  const auto rows = seen();
  EXPECT_EQ(rows.size(), kBuckets);
  for (const auto& [folder, lines] : rows) EXPECT_THAT(lines, ElementsAre(row, row)) << folder;
}

TEST_F(BucketedSinkTest, RefusesWhatIsNoBucket) {
  for (const char* bucket :
       {"all", "%Y-%s", "%Y%", "/%Y", "%Y/", "%Y//%m", "../%Y", "%Y/.%m", "partition-%d"}) {
    try {
      (void)spec(bucket);
      ADD_FAILURE() << bucket;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kConfig) << bucket;
      EXPECT_THAT(e.what(), HasSubstr(bucket));
    }
  }
}

TEST_F(BucketedSinkTest, RefusesFilesOfOthers) {
  fs::create_directories(dir_ / "2026");
  std::ofstream(dir_ / "2026" / "notes.jsonl") << "mine\n";
  const SinkSpec sink = spec("%Y");
  EXPECT_THROW(Attempt(sink, nullptr), Error);
}

}  // namespace
}  // namespace tidemill
