// Sources that stop before given offsets without ending.
#include "engine/runtime/source_hold.h"

#include <atomic>
#include <gtest/gtest.h>
#include <thread>

#include "engine/base/error.h"
#include "engine/runtime/seeded_scheduler.h"
#include "tests/engine/runtime/counting_job.h"

namespace tidemill {
namespace {

using Offsets = SourceHold::Offsets;

class SourceHoldTest : public ::testing::Test {
 protected:
  // Two inputs of `messages` batches each.
  void make(Offsets from_start = {}, int messages = 5) {
    hold = std::make_unique<SourceHold>(std::move(from_start));
    job = std::make_unique<testing::CountingJob>(2, 2, hold.get());
    for (std::size_t input = 0; input < 2; ++input) {
      for (int i = 0; i < messages; ++i) job->script->batch(input, {10 * i + 1});
    }
    scheduler = std::make_unique<SeededScheduler>(*job->job, 1);
  }
  void run() { scheduler->run_until_quiet(); }
  std::size_t num_rows() {
    rows_ += job->rows->take_written().size();
    return rows_;
  }

  std::unique_ptr<SourceHold> hold;
  std::unique_ptr<testing::CountingJob> job;
  std::unique_ptr<SeededScheduler> scheduler;

 private:
  std::size_t rows_ = 0;
};

TEST_F(SourceHoldTest, StopsBeforeTheOffsetsUntilItIsReleased) {
  make({{"p0", 2}, {"p1", 3}});
  EXPECT_FALSE(hold->is_reached());
  run();
  EXPECT_TRUE(hold->is_reached());
  EXPECT_EQ(hold->positions(), (Offsets{{"p0", 2}, {"p1", 3}}));
  EXPECT_EQ(num_rows(), 5U);
  hold->set({{"p0", 4}, {"p1", 3}});
  EXPECT_FALSE(hold->is_reached());
  run();
  EXPECT_EQ(hold->positions(), (Offsets{{"p0", 4}, {"p1", 3}}));
  hold->release();
  run();
  EXPECT_FALSE(hold->is_reached());
  EXPECT_EQ(num_rows(), 10U);
}

TEST_F(SourceHoldTest, IsRefusedBeyondAnOffsetAndThenTheFormerOneHolds) {
  make({{"p0", 2}, {"p1", 3}});
  run();
  try {
    hold->set({{"p0", 4}, {"p1", 2}});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kRefused);
    EXPECT_NE(std::string(e.what()).find("p1 is at 3, beyond 2"), std::string::npos) << e.what();
  }
  run();
  EXPECT_EQ(hold->positions(), (Offsets{{"p0", 2}, {"p1", 3}}));
  EXPECT_EQ(*hold->offsets(), (Offsets{{"p0", 2}, {"p1", 3}}));
}

TEST_F(SourceHoldTest, HoldsASplitThatIsNotNamedWhereItStands) {
  make();
  hold->set({{"p1", 3}});
  run();
  EXPECT_EQ(hold->positions(), (Offsets{{"p0", 0}, {"p1", 3}}));
  EXPECT_TRUE(hold->is_reached());
}

TEST_F(SourceHoldTest, HoldsHereAndSaysWhere) {
  make({{"p0", 1}, {"p1", 1}});
  run();
  EXPECT_EQ(hold->set_here(), (Offsets{{"p0", 1}, {"p1", 1}}));
}

TEST_F(SourceHoldTest, IsNotReachedWhileASplitIsNotThere) {
  make();
  hold->set({{"p0", 0}, {"p1", 0}, {"p2", 7}});
  EXPECT_FALSE(hold->is_reached());
}

TEST_F(SourceHoldTest, NeedsSourcesThatRun) {
  SourceHold alone;
  EXPECT_THROW(alone.set({{"p0", 1}}), Error);
  EXPECT_THROW(alone.set_here(), Error);
  EXPECT_FALSE(alone.is_reached());
  alone.release();
}

TEST_F(SourceHoldTest, RefusesAStartBeyond) {
  SourceHold from_start({{"p0", 2}});
  SplitStatus split;
  split.name = "p0";
  split.next_offset = 3;
  std::vector<SplitStatus> splits{split};
  const auto of = [&]() -> std::vector<SplitStatus>& { return splits; };
  EXPECT_THROW(SourceHold::Member(from_start, of), Error);
  splits[0].next_offset = 2;
  const SourceHold::Member member(from_start, of);
  EXPECT_EQ(splits[0].hold, 2);
  EXPECT_TRUE(from_start.is_reached());
}

// A hold and the positions it is judged by are of one moment, whatever a busy source does.
TEST_F(SourceHoldTest, IsSetBetweenTwoPolls) {
  SourceHold shared;
  SplitStatus split;
  split.name = "p0";
  std::vector<SplitStatus> splits{split};
  SourceHold::Member member(shared, [&]() -> std::vector<SplitStatus>& { return splits; });
  std::atomic<bool> done{false};
  std::atomic<bool> has_overrun{false};
  std::thread source([&] {
    while (!done) {
      if (!member.enter()) continue;
      const SourceHold::Turn turn(&member);
      if (splits[0].next_offset < splits[0].hold) ++splits[0].next_offset;
      if (splits[0].next_offset > splits[0].hold) has_overrun = true;
    }
  });
  for (int i = 0; i < 200; ++i) {
    const Offsets here = shared.set_here();
    EXPECT_EQ(shared.positions(), here);
    shared.set({{"p0", here.at("p0") + 1}});
    EXPECT_THROW(shared.set({{"p0", here.at("p0") - 1}}), Error);
    shared.release();
  }
  done = true;
  source.join();
  EXPECT_FALSE(has_overrun);
}

TEST(Offsets, AreReadAsTheyAreWritten) {
  EXPECT_EQ(parse_offsets("t:0=5,t:1=0"), (Offsets{{"t:0", 5}, {"t:1", 0}}));
  EXPECT_EQ(to_text(parse_offsets("t:1=7,t:0=5")), "t:0=5,t:1=7");
  EXPECT_TRUE(parse_offsets("").empty());
  for (const char* wrong : {"t:0", "t:0=", "t:0=x", "=5", "t:0=-1"})
    EXPECT_THROW(parse_offsets(wrong), Error) << wrong;
}

}  // namespace
}  // namespace tidemill
