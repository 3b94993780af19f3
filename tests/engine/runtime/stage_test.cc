#include "engine/runtime/stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/operator_error.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Emits what it is given; a firing takes `rounds` calls, each of which emits the watermark's
// number.
class Slow final : public OneInput<int> {
 public:
  Slow(OperatorContext& ctx, int rounds, Duration delay)
      : rounds_(rounds), delay_(delay), out_(ctx.output<int>(0)) {}

  void process(Batch<int>& batch) override {
    for (const auto& record : batch) out_.emit(record.value, record.time);
  }
  Progress on_watermark(EventTime watermark) override {
    out_.emit(static_cast<int>(watermark.ms), watermark);
    if (++round_ < rounds_) return Progress::kMore;
    round_ = 0;
    return Progress::kDone;
  }
  [[nodiscard]] EventTime output_watermark(EventTime watermark) const override {
    return delay_ == Duration::max() ? EventTime::min() : watermark - delay_;
  }
  Progress on_end() override {
    out_.emit(-1, {0});
    return Progress::kDone;
  }

 private:
  const int rounds_;
  const Duration delay_;
  int round_ = 0;
  Emitter<int>& out_;
};

class Recorder final : public Outlet {
 public:
  void push(AnyBatch any) override {
    for (const auto& record : static_cast<Batch<int>&>(*any))
      seen_.push_back(std::to_string(record.value));
  }
  void push(const Signal& s) override {
    switch (s.kind) {
      case SignalKind::kWatermark: seen_.push_back("w" + std::to_string(s.time.ms)); break;
      case SignalKind::kIdle: seen_.emplace_back("idle"); break;
      case SignalKind::kActive: seen_.emplace_back("active"); break;
      case SignalKind::kBarrier: seen_.push_back("barrier" + std::to_string(s.checkpoint)); break;
      case SignalKind::kEnd: seen_.emplace_back("end"); break;
    }
  }
  [[nodiscard]] bool is_blocked() const override { return false; }
  std::vector<std::string> take() { return std::exchange(seen_, {}); }

 private:
  std::vector<std::string> seen_;
};

class StageTest : public ::testing::Test {
 protected:
  std::unique_ptr<Stage> make(int rounds, Duration delay = Duration::zero(),
                              const RestoredOperator* restored = nullptr) {
    auto context = std::make_unique<OperatorContext>(OperatorContext::Place{.name = "slow"},
                                                     resources_, metrics_, clock_, restored);
    auto stage = std::make_unique<Stage>(std::move(context), [=](OperatorContext& ctx) {
      return std::make_unique<Slow>(ctx, rounds, delay);
    });
    stage->context().ports()[0]->connect(seen_);
    return stage;
  }
  static AnyBatch batch(int value) {
    auto b = std::make_unique<Batch<int>>();
    b->append(value, {0});
    return b;
  }

  Resources resources_;
  MetricRegistry metrics_;
  ManualClock clock_;
  Recorder seen_;
};

TEST_F(StageTest, RowsComeBeforeTheWatermarkThatCausedThem) {
  auto stage = make(1);
  stage->on_batch(0, batch(1));
  stage->on_signal(Signal::watermark({10}));
  EXPECT_THAT(seen_.take(), ElementsAre("1", "10", "w10"));
  stage->on_signal(Signal::watermark({10}));
  EXPECT_THAT(seen_.take(), IsEmpty());
}

TEST_F(StageTest, WhatGoesOutIsCountedWithSignalsTicksAndManyRecords) {
  auto stage = make(1);
  const Labels labels{{"output", "0"}, {"operator", "slow"}, {"subtask", "0"}};
  const Counter& counted = metrics_.counter("tidemill_operator_records_out_total", labels);
  stage->on_batch(0, batch(1));
  EXPECT_EQ(counted.value(), 0U);
  stage->tick();
  EXPECT_EQ(counted.value(), 1U);
  stage->on_batch(0, batch(2));
  stage->on_signal(Signal::watermark({10}));
  EXPECT_EQ(counted.value(), 3U);
  auto many = std::make_unique<Batch<int>>();
  for (int i = 0; i < 1500; ++i) many->append(i, {20});
  stage->on_batch(0, std::move(many));
  EXPECT_GE(counted.value(), 3U + 1024U);
  stage->on_signal(Signal::end());
  EXPECT_EQ(counted.value(), 3U + 1501U);
}

TEST_F(StageTest, BatchesAndBarriersPassAnUnfinishedFiringIdleAndEndWait) {
  auto stage = make(3);
  stage->on_signal(Signal::watermark({10}));
  EXPECT_TRUE(stage->has_work());
  stage->on_batch(0, batch(1));
  stage->on_signal(Signal::barrier(4));
  stage->on_signal(Signal::idle());
  stage->on_signal(Signal::end());
  EXPECT_THAT(seen_.take(), ElementsAre("10", "1", "barrier4"));
  stage->work();
  EXPECT_THAT(seen_.take(), ElementsAre("10"));
  stage->work();
  EXPECT_THAT(seen_.take(), ElementsAre("10", "w10", "idle", "-1", "end"));
  EXPECT_FALSE(stage->has_work());
  EXPECT_TRUE(stage->has_ended());
}

TEST_F(StageTest, AFiringThatACheckpointInterruptedGoesOn) {
  auto before = make(2);
  before->on_signal(Signal::watermark({10}));
  before->on_signal(Signal::barrier(1));
  while (!before->drain(1)) {
  }
  StageSnapshot snapshot = before->take_snapshot();
  RestoredOperator restored;
  restored.subtasks.push_back({std::move(snapshot.parts), {}});
  seen_.take();
  auto after = make(1, Duration::zero(), &restored);
  EXPECT_EQ(after->input_watermark(), EventTime{10});
  EXPECT_TRUE(after->has_work());
  after->work();
  EXPECT_THAT(seen_.take(), ElementsAre("10", "w10"));
}

TEST_F(StageTest, RowsOfAFiringAreHandedOnEvenIfNoWatermarkFollows) {
  auto stage = make(1, 5ms);
  stage->on_signal(Signal::watermark({10}));
  EXPECT_THAT(seen_.take(), ElementsAre("10", "w5"));
  auto held = make(1, Duration::max());
  held->on_signal(Signal::watermark({10}));
  EXPECT_THAT(seen_.take(), ElementsAre("10"));
}

TEST_F(StageTest, AnErrorNamesOperatorAndSubtask) {
  auto context = std::make_unique<OperatorContext>(OperatorContext::Place{.name = "broken"},
                                                   resources_, metrics_, clock_, nullptr);
  struct Broken final : OneInput<int> {
    void process(Batch<int>&) override { throw std::runtime_error("no such luck"); }
  };
  Stage stage(std::move(context), [](OperatorContext&) { return std::make_unique<Broken>(); });
  try {
    stage.on_batch(0, batch(1));
    FAIL();
  } catch (const OperatorError& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUser);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("broken/0 threw: no such luck"));
    EXPECT_EQ(error.place().operator_name, "broken");
    EXPECT_EQ(error.place().subtask, 0);
  }
}

// Several inlets from the stage's own task.
class InletsTest : public StageTest {
 protected:
  void make_inlets(const RestoredOperator* restored = nullptr) {
    stage_ = make(1, Duration::zero(), restored);
    for (std::size_t i = 0; i < 2; ++i)
      inlets_.push_back(stage_->make_inlet(static_cast<int>(i), i, 2));
  }

  std::unique_ptr<Stage> stage_;
  std::vector<std::unique_ptr<Outlet>> inlets_;
};

TEST_F(InletsTest, TheWatermarkIsTheLeastAndFollowsTheRowsOfBoth) {
  make_inlets();
  inlets_[0]->push(batch(1));
  inlets_[0]->push(Signal::watermark({10}));
  EXPECT_THAT(seen_.take(), ElementsAre("1"));
  inlets_[1]->push(batch(2));
  inlets_[1]->push(Signal::watermark({7}));
  EXPECT_THAT(seen_.take(), ElementsAre("2", "7", "w7"));
  inlets_[1]->push(Signal::watermark({20}));
  EXPECT_THAT(seen_.take(), ElementsAre("10", "w10"));
}

TEST_F(InletsTest, ABarrierPassesOnceItHasComeByAllAndNoRowIsBetween) {
  make_inlets();
  inlets_[0]->push(Signal::barrier(3));
  EXPECT_THAT(seen_.take(), IsEmpty());
  EXPECT_DEATH(inlets_[0]->push(batch(1)), "invariant broken");
  inlets_[1]->push(batch(2));
  inlets_[1]->push(Signal::barrier(3));
  EXPECT_THAT(seen_.take(), ElementsAre("2", "barrier3"));
  inlets_[0]->push(batch(1));
  EXPECT_THAT(seen_.take(), ElementsAre("1"));
}

TEST_F(InletsTest, TheStageIsIdleOnceAllAreActiveOnceOneIsAndEndsOnceAllHave) {
  make_inlets();
  inlets_[0]->push(Signal::watermark({10}));
  inlets_[0]->push(Signal::idle());
  EXPECT_THAT(seen_.take(), IsEmpty());  // not left out: the other may have rows on the way
  inlets_[1]->push(Signal::watermark({10}));
  inlets_[1]->push(Signal::idle());
  EXPECT_THAT(seen_.take(), ElementsAre("10", "w10", "idle"));
  inlets_[1]->push(Signal::active());
  inlets_[0]->push(Signal::active());
  EXPECT_THAT(seen_.take(), ElementsAre("active"));
  inlets_[0]->push(Signal::end());
  EXPECT_THAT(seen_.take(), IsEmpty());
  inlets_[1]->push(Signal::end());
  EXPECT_THAT(seen_.take(), ElementsAre("-1", "end"));
}

TEST_F(StageTest, AfterARestoreTheWatermarkIsToldAgainToWhoMayNotHaveHeardIt) {
  auto stage = make(1);
  stage->on_signal(Signal::watermark({10}));
  stage->on_signal(Signal::barrier(1));
  while (!stage->drain(1)) {
  }
  RestoredOperator restored;
  restored.subtasks.push_back({stage->take_snapshot().parts, {}});
  seen_.take();
  stage = make(1, Duration::zero(), &restored);
  stage->on_signal(Signal::watermark({10}));
  EXPECT_THAT(seen_.take(), ElementsAre("w10"));
  stage->on_signal(Signal::watermark({10}));
  EXPECT_THAT(seen_.take(), IsEmpty());
}

TEST_F(InletsTest, TheyGoOnFromTheWatermarkOfTheCheckpoint) {
  make_inlets();
  inlets_[0]->push(Signal::watermark({10}));
  inlets_[1]->push(Signal::watermark({10}));
  inlets_[0]->push(Signal::barrier(1));
  inlets_[1]->push(Signal::barrier(1));
  while (!stage_->drain(1)) {
  }
  RestoredOperator restored;
  restored.subtasks.push_back({stage_->take_snapshot().parts, {}});
  seen_.take();
  inlets_.clear();
  make_inlets(&restored);
  inlets_[0]->push(Signal::watermark({12}));
  inlets_[1]->push(Signal::watermark({11}));
  EXPECT_THAT(seen_.take(), ElementsAre("11", "w11"));
}

}  // namespace
}  // namespace tidemill
