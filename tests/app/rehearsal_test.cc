// Refusals as programs get them: id, row of the table of failures, and each choice with what it
// costs. Those that need brokers are in tests/e2e/test_recover.py.
#include "engine/checkpoint/start_rehearsal.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/files.h"

namespace tidemill {
namespace {

using testing::HasSubstr;

// Says what the test wants; nobody may be fenced.
class Looked final : public CommitProtocol {
 public:
  explicit Looked(std::optional<CommitRecord> record) : record_(std::move(record)) {}
  std::optional<CommitRecord> acquire() override {
    ADD_FAILURE() << "a dry start fences";
    return record_;
  }
  std::optional<CommitRecord> look() override { return record_; }
  void begin(CheckpointId) override { ADD_FAILURE() << "a dry start opens an epoch"; }
  void commit(const CommitRecord&) override { ADD_FAILURE() << "a dry start commits"; }

 private:
  std::optional<CommitRecord> record_;
};

class RehearsalTest : public ::testing::Test {
 protected:
  RehearsalTest()
      : folder_(::testing::TempDir() + "tidemill-rehearsal-" + std::to_string(::getpid())) {
    std::filesystem::remove_all(folder_);
    CheckpointStorage storage(folder_, CheckpointStorage::Access::kOwn, false);
    record_ = CommitRecord{
        "job", "7-b", 7, "line", make(storage, 7, "7-b", 130), {{"numbers", {split(130)}}}};
    make(storage, 6, "6-a", 100);
  }
  ~RehearsalTest() override { std::filesystem::remove_all(folder_); }

  static SplitPosition split(std::int64_t offset) {
    SplitPosition position;
    position.split = "numbers:0";
    position.offset = offset;
    return position;
  }
  static std::uint64_t make(CheckpointStorage& storage, CheckpointId seq, const std::string& id,
                            std::int64_t offset) {
    Manifest manifest;
    manifest.job = "job";
    manifest.checkpoint = id;
    manifest.seq = seq;
    manifest.lineage = "line";
    manifest.parent = "5-0";
    manifest.backend = "memory";
    manifest.sources = {{"numbers", {split(offset)}}};
    (void)storage.begin(id);
    return storage.finish(manifest);
  }

  // "E checkpoint_missing", and what it says.
  StartRehearsal refused(const std::optional<CommitRecord>& record, RestoreChoice choice = {}) {
    SupervisorSettings settings;
    settings.job = "job";
    settings.checkpoint_folder = folder_;
    settings.restore = std::move(choice);
    Deployment deployment;
    deployment.make_protocol = [&](Resources&, const CheckpointStorage&) {
      return std::make_unique<Looked>(record);
    };
    MetricRegistry metrics;
    StartRehearsal rehearsal = rehearse(settings, Graph{}, deployment, metrics, SystemClock());
    EXPECT_EQ(rehearsal.begins, "");
    EXPECT_TRUE(rehearsal.refusal) << rehearsal.error;
    if (!rehearsal.refusal) rehearsal.refusal = Refusal{};
    return rehearsal;
  }
  static std::string name_of(const StartRehearsal& rehearsal) {
    return rehearsal.refusal->row + " " + rehearsal.refusal->id;
  }
  static std::string flags_of(const StartRehearsal& rehearsal) {
    std::string text;
    for (const Refusal::Choice& choice : rehearsal.refusal->choices) {
      for (const std::string& flag : choice.flags) text += flag + " ";
    }
    return text;
  }

  const std::filesystem::path folder_;
  std::optional<CommitRecord> record_;
};

TEST_F(RehearsalTest, AMissingCommitRecordCanBeVouchedFor) {
  const StartRehearsal found = refused(std::nullopt);
  EXPECT_EQ(name_of(found), "B commit_record_missing");
  EXPECT_EQ(flags_of(found),
            "--assume-committed=7-b --restore=7-b --accept-duplicates --restore=6-a "
            "--accept-duplicates ");
  EXPECT_THAT(found.refusal->choices[2].consequence,
              HasSubstr("up to 30 records again (numbers:0 30)"));
  EXPECT_THAT(found.refusal->choices[2].consequence, HasSubstr("compared with 7-b"));
}

TEST_F(RehearsalTest, ARecordThatDoesNotFitIsToldApart) {
  auto record = record_;
  record->manifest_hash += 1;
  EXPECT_EQ(name_of(refused(record)), "D commit_record_disagrees");
  record = record_;
  record->job = "other";
  EXPECT_EQ(name_of(refused(record)), "D commit_record_of_another_job");
  record = record_;
  record->checkpoint = "8-c";
  const StartRehearsal missing = refused(record);
  EXPECT_EQ(name_of(missing), "E checkpoint_missing");
  EXPECT_EQ(flags_of(missing),
            "--restore=7-b --accept-duplicates --restore=6-a --accept-duplicates ");
}

TEST_F(RehearsalTest, ADamagedCheckpointIsNoChoice) {
  write_file(folder_ / "7-b" / "manifest", std::string("not a manifest"));
  const StartRehearsal found = refused(record_);
  EXPECT_EQ(name_of(found), "E checkpoint_damaged");
  EXPECT_EQ(found.code, ErrorCode::kCorrupt);
  EXPECT_EQ(flags_of(found), "--restore=6-a --accept-duplicates ");
  ASSERT_EQ(found.points.size(), 2U);
  EXPECT_EQ(found.points[0].consequence, "");
}

TEST_F(RehearsalTest, AChoiceThatRepeatsOrNamesNothingIsRefusedToo) {
  RestoreChoice choice;
  choice.kind = RestoreChoice::Kind::kId;
  choice.id = "6";
  EXPECT_EQ(name_of(refused(record_, choice)), " restore_repeats_output");
  choice.id = "77";
  EXPECT_EQ(name_of(refused(record_, choice)), " no_such_checkpoint");
  choice.kind = RestoreChoice::Kind::kNone;
  EXPECT_EQ(flags_of(refused(record_, choice)), "--restore=none --accept-duplicates ");
}

TEST_F(RehearsalTest, AJobThatRunsIsLeftAlone) {
  const CheckpointStorage running(folder_, CheckpointStorage::Access::kOwn, false);
  const StartRehearsal found = refused(record_);
  EXPECT_EQ(name_of(found), " already_running");
  EXPECT_EQ(flags_of(found), "");
}

}  // namespace
}  // namespace tidemill
