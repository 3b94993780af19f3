#include "engine/runtime/threaded_scheduler.h"

#include <chrono>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <thread>

#include "tests/engine/runtime/counting_job.h"

namespace tidemill {
namespace {

using testing::CountingJob;

// Waits until `is_true`, at most a minute.
bool eventually(const std::function<bool()>& is_true) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!is_true()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST(ThreadedSchedulerTest, EveryRecordArrivesOnceAndTheJobEnds) {
  constexpr std::int64_t kNumbers = 20000;
  CountingJob counting(4, 4);
  for (std::int64_t n = 0; n < kNumbers; n += 10) {
    std::vector<std::int64_t> batch;
    for (std::int64_t i = n; i < n + 10; ++i) batch.push_back(i);
    counting.script->batch(static_cast<std::size_t>(n / 10) % 4, std::move(batch));
  }
  counting.script->end({0, 1, 2, 3});
  ThreadedScheduler scheduler(*counting.job, 4);
  ASSERT_TRUE(eventually([&] { return scheduler.has_ended() || scheduler.has_failed(); }));
  scheduler.stop();
  scheduler.rethrow_failure();
  std::set<std::string> seen;
  const auto rows = counting.rows->take_written();
  for (const MemoryRow& row : rows) seen.insert(row.value);
  EXPECT_EQ(rows.size(), static_cast<std::size_t>(kNumbers));
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kNumbers));
}

TEST(ThreadedSchedulerTest, CheckpointsAreTakenWhileItRuns) {
  CountingJob counting(4, 2);
  ThreadedScheduler scheduler(*counting.job, 2);
  std::int64_t next = 0;
  for (CheckpointId id = 0; id < 20; ++id) {
    for (int i = 0; i < 50; ++i, ++next)
      counting.script->batch(static_cast<std::size_t>(next) % 4, {next});
    counting.job->request_checkpoint(id);
    for (int i = 0; i < 50; ++i, ++next)
      counting.script->batch(static_cast<std::size_t>(next) % 4, {next});
    ASSERT_TRUE(eventually([&] {
      return counting.num_acknowledged() == counting.job->num_tasks() || scheduler.has_failed();
    }));
    ASSERT_FALSE(scheduler.has_failed());
    std::int64_t read = 0;
    for (const TaskSnapshot& task : counting.take_acknowledged()) {
      EXPECT_EQ(task.checkpoint, id);
      for (const auto& entry : task.entries) {
        for (const SplitPosition& position : entry.snapshot.positions) read += position.offset;
        ByteReader prepared(entry.snapshot.prepared);
        while (!prepared.empty()) counting.rows->commit(prepared.u64());
      }
    }
    ASSERT_EQ(static_cast<std::int64_t>(counting.rows->committed().size()), read)
        << "checkpoint " << id;
  }
}

TEST(ThreadedSchedulerTest, TheFirstFailureStopsEveryWorkerAndIsRethrown) {
  CountingJob counting(2, 2);
  counting.script->batch(0, {1, 2, 3});
  counting.script->batch(1, {-1});
  ThreadedScheduler scheduler(*counting.job, 2);
  ASSERT_TRUE(eventually([&] { return scheduler.has_failed(); }));
  scheduler.stop();
  try {
    scheduler.rethrow_failure();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUser);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("count/"));
  }
}

}  // namespace
}  // namespace tidemill
