#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/files.h"
#include "service/server/effective_config.h"
#include "service/server/job_status.h"
#include "service/server/store.h"

namespace tidemill::server {
namespace {

using testing::ElementsAre;

class ServerStore : public testing::Test {
 protected:
  ServerStore() {
    std::string name = "/tmp/tidemill-store-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    open();
  }
  ~ServerStore() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void open() {
    store_.reset();
    store_ = std::make_unique<Store>(folder_ / "server.db");
  }
  static Version version(const std::string& binary) {
    Version v;
    v.binary = binary;
    v.config = "job: a\n";
    v.args = {"--parallelism", "3"};
    v.created_by = "me";
    return v;
  }
  static JobRow job(const std::string& name) {
    JobRow row;
    row.name = name;
    row.desired_running = true;
    row.once_args = {"--restore", "none"};
    row.once_after = "7-x";
    return row;
  }

  std::filesystem::path folder_;
  std::unique_ptr<Store> store_;
};

TEST_F(ServerStore, IsReadableForItsOwnerOnly) {
  for (const char* file : {"server.db", "server.db-wal"}) {
    struct stat found {};
    ASSERT_EQ(::stat((folder_ / file).c_str(), &found), 0) << file;
    EXPECT_EQ(found.st_mode & 0777, 0600) << file;
  }
}

TEST_F(ServerStore, HasWhatWasAskedForAfterItIsOpenedAgain) {
  store_->add_job(job("a"), version("b1"));
  EXPECT_EQ(store_->add_version("a", version("b2")), 2);
  store_->set_replaced_run("a", 5);
  store_->set_desired("a", false);
  open();
  const auto row = store_->job("a");
  ASSERT_TRUE(row);
  EXPECT_FALSE(row->desired_running);
  EXPECT_EQ(row->version, 2);
  EXPECT_EQ(row->replaced_run, 5);
  EXPECT_THAT(row->once_args, ElementsAre("--restore", "none"));
  EXPECT_EQ(row->once_after, "7-x");
  EXPECT_EQ(store_->version("a", 1).binary, "b1");
  EXPECT_THAT(store_->version("a", 2).args, ElementsAre("--parallelism", "3"));
  EXPECT_EQ(store_->versions("a").front().number, 2);
}

TEST_F(ServerStore, RefusesASecondJobOfOneName) {
  store_->add_job(job("a"), version("b1"));
  try {
    store_->add_job(job("a"), version("b2"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kRefused);
  }
  EXPECT_EQ(store_->versions("a").size(), 1);
}

TEST_F(ServerStore, KeepsRunsUntilTheyEnd) {
  store_->add_job(job("a"), version("b1"));
  server::Run run;
  run.job = "a";
  run.version = 1;
  run.started_ms = 10;
  run.newest_before = "3-y";
  run.id = store_->begin_run(run);
  store_->set_process(run.id, 77, 88, "boot");
  ASSERT_EQ(store_->open_runs().size(), 1);
  EXPECT_EQ(store_->open_runs().front().pid, 77);
  EXPECT_EQ(store_->open_runs().front().start_ticks, 88);
  run.ended_ms = 20;
  run.signal = 9;
  run.reason = "why";
  store_->end_run(run);
  EXPECT_TRUE(store_->open_runs().empty());
  const auto runs = store_->runs("a", 10);
  ASSERT_EQ(runs.size(), 1);
  EXPECT_EQ(runs[0].signal, 9);
  EXPECT_FALSE(runs[0].exit);
  EXPECT_EQ(runs[0].newest_before, "3-y");
  store_->remove_job("a");
  EXPECT_TRUE(store_->runs("a", 10).empty());
  EXPECT_TRUE(store_->versions("a").empty());
}

TEST_F(ServerStore, FindsATokenByWhatItsOwnerHasAndKeepsOnlyItsHash) {
  const std::string token = new_token();
  store_->add_token("alice", Role::kOperator, token, 1);
  store_->add_token("bob", Role::kViewer, new_token(), 2);
  const auto found = store_->find_token(token);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "alice");
  EXPECT_EQ(found->role, Role::kOperator);
  EXPECT_FALSE(store_->find_token(token + "0"));
  EXPECT_FALSE(store_->find_token(""));
  EXPECT_FALSE(store_->find_token(sha256_hex(token)));
  open();
  for (const auto& entry : std::filesystem::directory_iterator(folder_))
    EXPECT_EQ(read_file(entry.path()).find(token.substr(3)), std::string::npos) << entry.path();
  EXPECT_THROW(store_->add_token("alice", Role::kAdmin, new_token(), 3), Error);
  EXPECT_TRUE(store_->remove_token("alice"));
  EXPECT_FALSE(store_->remove_token("alice"));
  EXPECT_FALSE(store_->find_token(token));
}

TEST_F(ServerStore, AuditsBeforeAndAfter) {
  const auto id = store_->begin_audit({0, 5, "alice", "admin", "127.0.0.1", "POST /x", "{}", {}});
  EXPECT_FALSE(store_->audit(1'000, 10).front().status);
  store_->end_audit(id, 201);
  store_->begin_audit({0, 6, "bob", "viewer", "127.0.0.1", "POST /y", "", 403});
  const auto rows = store_->audit(1'000, 10);
  ASSERT_EQ(rows.size(), 2);
  EXPECT_EQ(rows[0].who, "bob");
  EXPECT_EQ(rows[0].status, 403);
  EXPECT_EQ(rows[1].status, 201);
  EXPECT_EQ(store_->audit(rows[0].id, 10).size(), 1);
}

TEST_F(ServerStore, RefusesAFileOfANewerProgram) {
  store_.reset();
  // The header has user_version at byte 60, big-endian; a store that nobody has open is one file.
  Bytes bytes = read_file(folder_ / "server.db");
  bytes[63] = static_cast<char>(99);
  write_file(folder_ / "server.db", bytes);
  EXPECT_THROW(open(), Error);
}

TEST(Token, IsLongAndNeverTheSame) {
  EXPECT_EQ(new_token().size(), 67);
  EXPECT_NE(new_token(), new_token());
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Token, IsReadFromItsHeader) {
  EXPECT_EQ(bearer_token("Bearer abc"), "abc");
  EXPECT_EQ(bearer_token("bearer abc"), "abc");
  EXPECT_FALSE(bearer_token("Basic abc"));
  EXPECT_FALSE(bearer_token("Bearer "));
  EXPECT_FALSE(bearer_token(""));
}

TEST(JobStatus, TakesWhatIsThere) {
  const JobStatus status =
      parse_status(R"({"job":"a","state":"running","rates":{"events_per_s":2.5,"rows_per_s":1},
    "lag_records":7,"watermark_ms":null,"checkpoint":{"last_id":"3-x","last_ms":99},
    "freshness":[{"output":"x","p99_ms":10},{"output":"y","p99_ms":30.5},{"output":"z","p99_ms":null}],
    "problems":[{"id":"hot_key","severity":"warning","text":"t","next":"n","since_ms":4}]})");
  EXPECT_EQ(status.job, "a");
  EXPECT_EQ(status.events_per_s, 2.5);
  EXPECT_EQ(status.lag_records, 7);
  EXPECT_FALSE(status.watermark_ms);
  EXPECT_EQ(status.checkpoint_ms, 99);
  EXPECT_EQ(status.freshness_p99_ms, 30.5);
  ASSERT_EQ(status.problems.size(), 1);
  EXPECT_EQ(status.problems[0].id, "hot_key");
  EXPECT_EQ(status.problems[0].since_ms, 4);
  EXPECT_FALSE(
      parse_status(R"({"job":"a","rates":3,"freshness":[3],"problems":[null]})").events_per_s);
  for (const char* wrong : {"", "[]", "{}", "{\"job\":3}", "{\"job\":\"a\"", "null"})
    EXPECT_THROW((void)parse_status(wrong), Error) << wrong;
}

TEST(EffectiveConfig, IsReadLineByLine) {
  const auto settings = parse_settings(
      "checkpoint.dir: /x/y  # features.yaml:3\njob: \"a # b\"  # default\nnothing\n"
      "sinks.redis.password: ***  # --set\n");
  ASSERT_EQ(settings.size(), 3);
  EXPECT_EQ(settings[0].key, "checkpoint.dir");
  EXPECT_EQ(settings[0].value, "/x/y");
  EXPECT_EQ(settings[0].source, "features.yaml:3");
  EXPECT_EQ(settings[1].value, "a # b");
  EXPECT_EQ(settings[2].value, "***");
}

}  // namespace
}  // namespace tidemill::server
