// How a job that runs is stopped, and what is left of it: savepoints, drain, cancel.
#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "engine/base/error.h"
#include "engine/checkpoint/manifest_commit.h"
#include "engine/checkpoint/supervisor.h"
#include "operators/graph_builder.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"
#include "operators/stream.h"
#include "state/backend.h"
#include "state/keyed_value.h"

namespace tidemill {
namespace {

using namespace std::chrono_literals;

// Between the test and the job that it watches.
struct Watched {
  std::atomic<std::int64_t> available{0};  // the source has so many records by now
  std::atomic<std::int64_t> counted{0};    // as the last record's count says
  std::atomic<bool> has_ended{false};
  std::atomic<bool> throws{false};
};
Watched* watched = nullptr;

class Numbers final : public SourceReader<std::int64_t> {
 public:
  Numbers(OperatorContext& ctx, const std::vector<SplitPosition>& positions) {
    if (ctx.subtask() != 0) return;
    SplitStatus split;
    split.name = "numbers";
    split.source = "numbers";
    for (const SplitPosition& p : positions) split.next_offset = p.offset;
    splits_.push_back(split);
  }
  void poll(SourceBatch<std::int64_t>& out, std::size_t) override {
    if (splits_.empty()) return;
    std::int64_t& next = splits_.front().next_offset;
    for (; next < watched->available; ++next) out.append(next, {0, 0, next, EventTime::min()});
    splits_.front().state = SplitState::kAtEnd;
  }
  std::vector<SplitStatus>& splits() override { return splits_; }

 private:
  std::vector<SplitStatus> splits_;
};

class Counter final : public OneInput<std::int64_t> {
 public:
  using Out = std::int64_t;
  explicit Counter(OperatorContext& ctx) : count_(ctx, "count") {}
  void process(Batch<std::int64_t>& batch) override {
    if (watched->throws.exchange(false)) throw Error(ErrorCode::kIo, "as the test wants");
    for (std::size_t i = 0; i < batch.size(); ++i) watched->counted = ++count_["key"];
  }
  Progress on_end() override {
    watched->has_ended = true;
    return Progress::kDone;
  }

 private:
  KeyedValue<std::string, std::int64_t> count_;
};

class LifeCycle : public ::testing::Test {
 protected:
  LifeCycle()
      : folder_(::testing::TempDir() + "tidemill-life-cycle-" + std::to_string(::getpid()) + "-" +
                ::testing::UnitTest::GetInstance()->current_test_info()->name()) {
    watched = &watched_;
    std::filesystem::remove_all(folder_);
  }
  ~LifeCycle() override {
    end();
    std::filesystem::remove_all(folder_);
  }

  void start(RestoreChoice restore = {}, Duration interval = Duration(0)) {
    end();
    watched_.counted = 0;
    const auto builder = std::make_shared<GraphBuilder>();
    const SourceSpec<std::int64_t> spec{
        "numbers", [](OperatorContext& ctx, const std::vector<SplitPosition>& positions) {
          return std::make_unique<Numbers>(ctx, positions);
        }};
    read_events(
        builder, "numbers", spec, [](std::int64_t n) { return EventTime{n}; }, Duration(0))
        .key_by([](std::int64_t) { return std::string("key"); })
        .process<Counter>("counter");
    SupervisorSettings settings;
    settings.job = "job";
    settings.checkpoint_folder = folder_;
    settings.checkpoint_interval = interval;
    settings.retained_checkpoints = 2;
    settings.is_durable = false;
    settings.first_backoff = Duration(1);
    settings.restore = std::move(restore);
    settings.backend = "memory";
    Deployment deployment;
    deployment.make_store = [](Resources& resources) -> std::unique_ptr<SnapshotStore> {
      auto backend = make_backend("memory", {});
      resources.lend(*backend);
      return backend;
    };
    deployment.make_protocol = [](Resources&, const CheckpointStorage& storage) {
      return std::make_unique<ManifestCommit>(storage);
    };
    supervisor_ = std::make_unique<Supervisor>(settings, builder->graph(), std::move(deployment),
                                               metrics_, clock_);
    outcome_ = std::async(std::launch::async, [this] { return supervisor_->run(); });
  }
  void end() {
    if (!supervisor_) return;
    supervisor_->request_stop(StopMode::kCancel);
    if (outcome_.valid()) outcome_.wait();
    supervisor_.reset();
  }
  void feed(std::int64_t until) {
    watched_.available = until;
    wait([&] { return watched_.counted == until; });
  }
  template <class F>
  static void wait(F&& holds) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!holds()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::sleep_for(1ms);
    }
  }
  template <class T>
  static T get(std::future<T>& future) {
    if (future.wait_for(20s) != std::future_status::ready)
      throw std::runtime_error("nothing came within 20 s");
    return future.get();
  }
  void commit() {
    const std::uint64_t before = supervisor_->progress().committed;
    supervisor_->request_checkpoint();
    wait([&] { return supervisor_->progress().committed > before; });
  }
  std::vector<CheckpointName> stored() const {
    return CheckpointStorage(folder_, CheckpointStorage::Access::kReadOnly).list();
  }
  bool has(const std::string& id) const {
    for (const CheckpointName& name : stored()) {
      if (name.id == id) return true;
    }
    return false;
  }
  std::string refusal() {
    try {
      get(outcome_);
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kRefused) return e.what();
    }
    return "not refused";
  }

  const std::filesystem::path folder_;
  Watched watched_;
  MetricRegistry metrics_;
  const SystemClock clock_;
  std::unique_ptr<Supervisor> supervisor_;
  std::future<Supervisor::Outcome> outcome_;
};

TEST_F(LifeCycle, ASavepointOutlivesRetentionUntilItIsDeleted) {
  start();
  feed(5);
  auto asked = supervisor_->request_savepoint();
  const std::string id = get(asked);
  for (int i = 0; i < 4; ++i) commit();
  EXPECT_TRUE(has(id));
  EXPECT_EQ(stored().size(), 3U) << "two checkpoints besides";
  EXPECT_TRUE(stored().front().is_savepoint);

  EXPECT_THROW(delete_savepoint(folder_, stored().back().id), Error) << "no savepoint";
  delete_savepoint(folder_, id);
  commit();
  wait([&] { return !has(id); });  // it goes with the next clean-up, which comes behind a commit
  EXPECT_THROW(delete_savepoint(folder_, id), Error);
}

TEST_F(LifeCycle, ASavepointIsRestoredByChoice) {
  start();
  feed(5);
  auto asked = supervisor_->request_savepoint();
  const std::string id = get(asked);
  feed(9);
  commit();
  supervisor_->request_stop();
  EXPECT_EQ(get(outcome_), Supervisor::Outcome::kStopped);

  RestoreChoice choice{RestoreChoice::Kind::kId, id, false, {}};
  start(choice);
  EXPECT_NE(refusal().find("reads up to 4 records again (numbers 4)"), std::string::npos);
  choice.accept_duplicates = true;
  start(choice);
  feed(9);
  std::ifstream audit(folder_ / "audit.log");
  std::string line;
  std::getline(audit, line);
  EXPECT_NE(line.find("restore " + id + " by choice: it reads up to 4 records again"),
            std::string::npos)
      << line;
}

TEST_F(LifeCycle, ASavepointThatAnAttemptDidNotReachIsTakenByTheNext) {
  start();
  feed(5);
  commit();
  watched_.throws = true;
  watched_.available = 8;
  auto asked = supervisor_->request_savepoint();
  const std::string id = get(asked);
  EXPECT_TRUE(has(id));
  wait([&] { return watched_.counted == 8; });
  ASSERT_EQ(supervisor_->failures().size(), 1);
  ASSERT_TRUE(supervisor_->failures()[0].place);
  EXPECT_EQ(supervisor_->failures()[0].place->operator_name, "counter");
}

TEST_F(LifeCycle, StopWithSavepointLeavesItAsTheLastCheckpoint) {
  start({}, Duration(10));
  feed(5);
  auto asked = supervisor_->request_stop_with_savepoint();
  EXPECT_EQ(get(outcome_), Supervisor::Outcome::kStopped);
  const std::string id = get(asked);
  EXPECT_EQ(stored().back().id, id);
  EXPECT_TRUE(stored().back().is_savepoint);
  auto late = supervisor_->request_savepoint();
  EXPECT_THROW(get(late), Error) << "the job has ended";
  start();
  feed(6);
}

TEST_F(LifeCycle, CancelLosesNothingThatIsCommitted) {
  start();
  feed(5);
  commit();
  feed(7);
  EXPECT_TRUE(supervisor_->request_stop(StopMode::kCancel));
  EXPECT_EQ(get(outcome_), Supervisor::Outcome::kStopped);
  EXPECT_FALSE(supervisor_->request_stop()) << "cancel stays";
  EXPECT_FALSE(watched_.has_ended);
  const auto before = stored();
  start();
  feed(7);  // the count goes on from 5 with the two records that were not committed
  EXPECT_EQ(stored().back().id, before.back().id);
}

TEST_F(LifeCycle, ADrainEndsTheInputAndNothingCanBeAdded) {
  start();
  feed(5);
  auto asked = supervisor_->request_savepoint();
  const std::string before = get(asked);
  EXPECT_TRUE(supervisor_->request_stop(StopMode::kDrain));
  EXPECT_EQ(get(outcome_), Supervisor::Outcome::kFinished);
  EXPECT_TRUE(watched_.has_ended);

  start();
  EXPECT_NE(refusal().find("the job was drained"), std::string::npos);
  start({RestoreChoice::Kind::kId, before, true, {}});
  feed(7);
}

TEST_F(LifeCycle, ARunningJobSaysWhatAKeyHas) {
  start();
  feed(5);
  StateQuery query{"counter", "count", {}, key_hash("key"), false, {}, 0, 0, {}, {}};
  Codec<std::string>::encode(query.key, "key");
  auto asked = supervisor_->ask(query);
  ASSERT_TRUE(asked);
  const StateQuery answer = get(*asked);
  EXPECT_TRUE(answer.is_known);
  ASSERT_EQ(answer.rows.size(), 1U);
  EXPECT_EQ(decode<std::int64_t>(answer.rows.front().value), 5);
  EXPECT_EQ(answer.key_group, key_group_of(query.hash, kDefaultKeyGroups));

  query.key = "\x7f";  // no text
  asked = supervisor_->ask(query);
  EXPECT_NE(get(*asked).error, "");
  feed(6);  // and the job is none the worse
  query.operator_name = "nobody";
  EXPECT_FALSE(supervisor_->ask(query));
  EXPECT_EQ(supervisor_->states().size(), 1U);
}

TEST_F(LifeCycle, ADrainThatWasCutShortIsCompleted) {
  start();
  feed(5);
  commit();
  end();
  // As if the process had died between a checkpoint of the drain and its end.
  CheckpointStorage storage(folder_, CheckpointStorage::Access::kReadOnly, false);
  const std::string last = storage.list().back().id;
  Manifest manifest = storage.load(last).manifest;
  manifest.is_drained = true;
  const Bytes bytes = encode(manifest);
  std::ofstream(folder_ / last / "manifest", std::ios::binary) << bytes;

  watched_.available = 50;
  start();
  EXPECT_EQ(get(outcome_), Supervisor::Outcome::kFinished);
  EXPECT_TRUE(watched_.has_ended);
  EXPECT_EQ(watched_.counted, 0) << "no record is read any more";
}

TEST_F(LifeCycle, WhatBecameOfCheckpointsAndRestoresIsLogged) {
  start();
  feed(5);
  commit();
  const auto [checkpoints, committed] = supervisor_->checkpoint_log().runs_after(0);
  ASSERT_GE(committed, 2U);
  ASSERT_EQ(checkpoints.size(), committed);
  for (const CheckpointRun& run : checkpoints) {
    ASSERT_FALSE(run.parts.empty());
    EXPECT_EQ(run.slowest, run.parts.back().operator_name);
    EXPECT_NEAR(static_cast<double>(run.align_us + run.drain_us + run.store_us + run.commit_us),
                static_cast<double>(run.duration_us), 4);
    for (const CheckpointRun::Part& part : run.parts) {
      EXPECT_LE(0, part.aligned_us);
      EXPECT_LE(part.aligned_us, run.align_us);
      EXPECT_LE(part.aligned_us, part.acknowledged_us);
      EXPECT_LE(part.acknowledged_us, run.align_us + run.drain_us + 1);
    }
  }
  const auto [restores, attempts] = supervisor_->restore_log().runs_after(0);
  ASSERT_EQ(attempts, 1U);
  EXPECT_TRUE(restores.front().checkpoint.empty()) << "a first start";
  EXPECT_FALSE(restores.front().has_failed);
}

TEST(RunLog, GivesWhatIsNewAndTellsWhatItHasLost) {
  RunLog<int> log;
  for (int i = 1; i <= 3; ++i) log.add(i);
  EXPECT_EQ(log.runs_after(1).first, (std::vector<int>{2, 3}));
  EXPECT_TRUE(log.runs_after(3).first.empty());
  for (int i = 4; i <= 150; ++i) log.add(i);
  const auto [runs, added] = log.runs_after(3);
  EXPECT_EQ(added, 150U);
  ASSERT_EQ(runs.size(), RunLog<int>::kMost);
  EXPECT_EQ(runs.front(), 51);
  EXPECT_EQ(runs.back(), 150);
}

}  // namespace
}  // namespace tidemill
