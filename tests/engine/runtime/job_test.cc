#include "engine/runtime/job.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>

#include "engine/runtime/seeded_scheduler.h"
#include "tests/engine/runtime/counting_job.h"

namespace tidemill {
namespace {

using testing::CountingJob;

// Steps until the checkpoint `id` is acknowledged by every task.
void take_checkpoint(CountingJob& counting, SeededScheduler& scheduler, CheckpointId id) {
  counting.job->request_checkpoint(id);
  for (int i = 0; i < 100000 && counting.num_acknowledged() < counting.job->num_tasks(); ++i)
    scheduler.step();
  ASSERT_EQ(counting.num_acknowledged(), counting.job->num_tasks());
}

TEST(JobTest, EveryRecordArrivesOnceWhateverTheOrderOfSteps) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CountingJob counting(3, 2);
    SeededScheduler scheduler(*counting.job, seed);
    for (std::int64_t n = 0; n < 60; ++n)
      counting.script->batch(static_cast<std::size_t>(n) % 3, {n, n + 100});
    counting.script->end({0, 1, 2});
    scheduler.run_until_quiet();
    std::multiset<std::string> seen;
    for (const MemoryRow& row : counting.rows->take_written()) seen.insert(row.value);
    EXPECT_EQ(seen.size(), 120U) << "seed " << seed;
    EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), 120U);
    EXPECT_TRUE(counting.job->has_ended());
  }
}

// The cut is consistent: what the sinks had written before the barrier is exactly what the sources
// had read before it.
TEST(JobTest, ACheckpointHoldsWhatTheSourcesReadBeforeIt) {
  for (std::uint64_t seed = 1; seed < 40; ++seed) {
    CountingJob counting(3, 3);
    SeededScheduler scheduler(*counting.job, seed);
    for (std::int64_t n = 0; n < 90; ++n)
      counting.script->batch(static_cast<std::size_t>(n) % 3, {n});
    for (std::uint64_t i = 0; i < seed * 3; ++i) scheduler.step();
    take_checkpoint(counting, scheduler, 0);
    std::int64_t read = 0;
    std::size_t sinks = 0;
    for (const TaskSnapshot& task : counting.take_acknowledged()) {
      EXPECT_EQ(task.checkpoint, 0U);
      for (const auto& entry : task.entries) {
        for (const SplitPosition& position : entry.snapshot.positions) read += position.offset;
        if (entry.operator_name != "rows") continue;
        ++sinks;
        ByteReader prepared(entry.snapshot.prepared);
        while (!prepared.empty()) counting.rows->commit(prepared.u64());
      }
    }
    EXPECT_EQ(sinks, 3U);
    EXPECT_EQ(static_cast<std::int64_t>(counting.rows->committed().size()), read)
        << "seed " << seed;
  }
}

TEST(JobTest, CheckpointsGoOnAfterTheEnd) {
  CountingJob counting(2, 2);
  SeededScheduler scheduler(*counting.job, 1);
  counting.script->batch(0, {1, 2, 3});
  counting.script->end({0, 1});
  scheduler.run_until_quiet();
  ASSERT_TRUE(counting.job->has_ended());
  take_checkpoint(counting, scheduler, 0);
  counting.take_acknowledged();
  take_checkpoint(counting, scheduler, 1);
}

// Checkpoints go on, since it is they that give memory back.
TEST(JobTest, SourcesReadNothingWhileMemoryIsExhausted) {
  CountingJob counting(2, 2);
  SeededScheduler scheduler(*counting.job, 1);
  counting.script->batch(0, {1, 2, 3});
  counting.script->end({0, 1});
  counting.memory.is_short = true;
  scheduler.run_until_quiet();
  take_checkpoint(counting, scheduler, 0);
  EXPECT_TRUE(counting.rows->take_written().empty());
  EXPECT_FALSE(counting.job->has_ended());
  counting.memory.is_short = false;
  scheduler.run_until_quiet();
  EXPECT_EQ(counting.rows->take_written().size(), 3U);
  EXPECT_TRUE(counting.job->has_ended());
}

TEST(JobTest, SubtasksOfOneSplitlessSourceGoAlong) {
  CountingJob counting(1, 4);
  SeededScheduler scheduler(*counting.job, 3);
  counting.script->batch(0, {5, 6, 7});
  counting.script->end({0});
  scheduler.run_until_quiet();
  EXPECT_TRUE(counting.job->has_ended());
  EXPECT_EQ(counting.rows->take_written().size(), 3U);
}

}  // namespace
}  // namespace tidemill
