// Process functions: timers in both clocks, names, what a firing that is not finished shows.
#include "operators/process_function.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "operators/function_state.h"
#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::OperatorHarness;
using ::testing::UnorderedElementsAre;

// What a record asks for: of the timer at `at`.
enum class Do { kNothing, kSet, kDelete, kSetProcessing, kDeleteProcessing };
struct Command {
  std::string key;
  Do what = Do::kNothing;
  EventTime at{};
  std::string name{};
  // The timer, when it fires, sets the same one this much later.
  Duration again{};
};

// Tells how many records of the key it has seen, at records and at timers.
struct Clockwork {
  using Out = std::string;
  using Context = ProcessContext<std::string, Out>;
  static constexpr OutputPort<int> kCounts{1};

  explicit Clockwork(StateContext<std::string>& state)
      : seen(state, "seen"), again(state, "again"), counts(state.output(kCounts)) {}

  void process(const Command& c, Context& ctx) {
    counts.emit(++seen.value(), ctx.time());
    if (c.again != Duration::zero()) again.set(c.again);
    switch (c.what) {
      case Do::kNothing: break;
      case Do::kSet: ctx.set_timer(c.at, c.name); break;
      case Do::kDelete: ctx.delete_timer(c.at, c.name); break;
      case Do::kSetProcessing: ctx.set_processing_timer(c.at, c.name); break;
      case Do::kDeleteProcessing: ctx.delete_processing_timer(c.at, c.name); break;
    }
  }
  void on_timer(const FiredTimer& timer, Context& ctx) {
    const std::string clock = timer.clock == TimeDomain::kEvent ? "" : "p";
    const std::string name = timer.name.empty() ? "" : "/" + std::string(timer.name);
    ctx.emit(ctx.key() + "@" + clock + std::to_string(timer.time.ms) + name + " after " +
             std::to_string(seen.value()));
    if (const Duration* by = again.find(); by != nullptr && ctx.watermark() < EventTime::max()) {
      timer.clock == TimeDomain::kEvent ? ctx.set_timer(timer.time + *by)
                                        : ctx.set_processing_timer(timer.time + *by);
    }
  }

  ValueState<std::string, int> seen;
  ValueState<std::string, Duration> again;
  Emitter<int>& counts;
};

struct KeyOf {
  const std::string& operator()(const Command& c) const { return c.key; }
};
using Op = KeyedProcess<Clockwork, Command, KeyOf>;

std::unique_ptr<Operator> make(OperatorContext& ctx) {
  return std::make_unique<Op>(ctx, ProcessOptions{}, KeyOf{});
}
// Yields after every timer.
std::unique_ptr<Operator> make_interrupted(OperatorContext& ctx) {
  return std::make_unique<Op>(ctx, ProcessOptions{.firing_budget = 1}, KeyOf{});
}

std::vector<std::string> rows(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const Record<std::string>& r : h.drain<std::string>()) all.push_back(r.value);
  return all;
}

TEST(ProcessFunction, FiresOnceTheWatermarkHasPassed) {
  OperatorHarness::run(make, [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Command>({{{"a", Do::kSet, {50}}, {1}}, {{"b", Do::kSet, {60}}, {2}}});
    h.watermark({50});
    h.push<Command>({{{"a"}, {50}}});  // of the timer's own time: before it
    EXPECT_THAT(rows(h), IsEmpty());
    h.watermark({51});
    EXPECT_THAT(rows(h), ElementsAre("a@50 after 2"));
    h.watermark({70});
    EXPECT_THAT(rows(h), ElementsAre("b@60 after 1"));
    EXPECT_EQ(h.drain<int>(1).size(), 3);
  });
}

TEST(ProcessFunction, TimersAreOnePerKeyTimeAndName) {
  OperatorHarness::run(make, [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Command>({{{"a", Do::kSet, {50}}, {1}},
                     {{"a", Do::kSet, {50}}, {2}},
                     {{"a", Do::kSet, {50}, "x"}, {3}},
                     {{"b", Do::kSet, {50}, "x"}, {3}}});
    h.push<Command>({{{"a", Do::kSet, {50}, "x"}, {4}}, {{"a", Do::kSet, {40}, "x"}, {4}}});
    h.watermark({100});
    EXPECT_THAT(rows(h), UnorderedElementsAre("a@40/x after 5", "a@50 after 5", "a@50/x after 5",
                                              "b@50/x after 1"));
  });
}

TEST(ProcessFunction, DeletesOneTimerAndNoOther) {
  OperatorHarness::run(make, [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Command>({{{"a", Do::kSet, {50}}, {1}},
                     {{"a", Do::kSet, {50}, "x"}, {1}},
                     {{"a", Do::kSet, {60}}, {1}},
                     {{"a", Do::kSetProcessing, {50}}, {1}}});
    h.push<Command>({{{"a", Do::kDelete, {50}}, {2}},
                     {{"a", Do::kDelete, {55}}, {2}},
                     {{"b", Do::kDelete, {60}}, {2}},
                     {{"a", Do::kDelete, {60}, "y"}, {2}}});
    h.watermark({100});
    EXPECT_THAT(rows(h), ElementsAre("a@50/x after 7", "a@60 after 7"));
    h.push<Command>({{{"a", Do::kDeleteProcessing, {50}}, {100}}});
    h.advance(100ms);
    EXPECT_THAT(rows(h), IsEmpty());
    h.push<Command>({{{"c", Do::kSet, {150}}, {100}}, {{"c", Do::kDelete, {150}}, {100}}});
    h.push<Command>({{{"c", Do::kSet, {150}}, {100}}});  // set again
    h.watermark({200});
    EXPECT_THAT(rows(h), ElementsAre("c@150 after 3"));
  });
}

TEST(ProcessFunction, FiresAtTheEndOfTheBatchWhenAlreadyPassed) {
  OperatorHarness::run(make, [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.watermark({100});
    h.push<Command>({{{"a", Do::kSet, {99}}, {50}},
                     {{"a", Do::kSet, {100}}, {50}},
                     {{"b", Do::kSet, {7}}, {50}},
                     {{"b", Do::kDelete, {7}}, {50}},  // within the batch
                     {{"a"}, {60}}});
    EXPECT_THAT(rows(h), ElementsAre("a@99 after 3"));
    h.watermark({101});
    EXPECT_THAT(rows(h), ElementsAre("a@100 after 3"));
  });
}

TEST(ProcessFunction, ProcessingTimersFollowTheClock) {
  OperatorHarness::run(make, [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Command>({{{"a", Do::kSetProcessing, {50}, "x"}, {1}},
                     {{"a", Do::kSetProcessing, {51}}, {1}},
                     {{"b", Do::kSetProcessing, {0}}, {1}}});
    EXPECT_THAT(rows(h), ElementsAre("b@p0 after 1"));  // the clock is there already
    h.watermark({1000});                                // never moves it
    h.advance(49ms);
    EXPECT_THAT(rows(h), IsEmpty());
    h.advance(1ms);
    const auto fired = h.drain<std::string>();
    ASSERT_EQ(fired.size(), 1);
    EXPECT_EQ(fired[0].value, "a@p50/x after 2");
    EXPECT_EQ(fired[0].time, EventTime{1000});  // not behind the watermark
    h.end();
    EXPECT_THAT(rows(h), IsEmpty());
  });
}

TEST(ProcessFunction, FiresEventTimersAtTheEnd) {
  OperatorHarness::run(make_interrupted, [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Command>({{{"a", Do::kSet, {50}}, {1}},
                     {{"b", Do::kSet, EventTime::max()}, {1}},
                     {{"c", Do::kSet, {70}, "", 10ms}, {1}},
                     {{"a", Do::kSetProcessing, {50}}, {1}}});
    h.watermark({71});
    EXPECT_THAT(rows(h), UnorderedElementsAre("a@50 after 2", "c@70 after 1"));
    h.end();
    EXPECT_THAT(rows(h),
                UnorderedElementsAre("b@" + std::to_string(EventTime::max().ms - 1) + " after 1",
                                     "c@80 after 1"));
  });
}

TEST(ProcessFunction, TimersSetByTimersFireInTheSameFiring) {
  for (const auto& op : {make, make_interrupted}) {
    OperatorHarness::run(op, [](OperatorHarness& h) {
      SCOPED_TRACE(h.mode());
      h.push<Command>({{{"a", Do::kSet, {10}, "", 10ms}, {1}}, {{"b", Do::kSet, {25}}, {1}}});
      h.watermark({45});
      EXPECT_THAT(rows(h), UnorderedElementsAre("a@10 after 1", "a@20 after 1", "b@25 after 1",
                                                "a@30 after 1", "a@40 after 1"));
      h.push<Command>({{{"c", Do::kSet, {10}, "", 12ms}, {1}}});  // from behind the watermark
      EXPECT_THAT(rows(h), ElementsAre("c@10 after 1", "c@22 after 1", "c@34 after 1"));
      h.watermark({51});
      EXPECT_THAT(rows(h), UnorderedElementsAre("a@50 after 1", "c@46 after 1"));
      h.push<Command>({{{"d", Do::kSetProcessing, {-5}, "", 2ms}, {1}}});
      EXPECT_THAT(rows(h), ElementsAre("d@p-5 after 1", "d@p-3 after 1", "d@p-1 after 1"));
      h.advance(3ms);
      EXPECT_THAT(rows(h), ElementsAre("d@p1 after 1", "d@p3 after 1"));
    });
  }
}

// A batch between the pieces of a firing finds everything fired that the watermark has passed.
TEST(ProcessFunction, RecordsBehindAnUnfinishedFiringAreNotSeenByIt) {
  OperatorHarness::run(make_interrupted, [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    std::vector<std::string> expected;
    Batch<Command> batch;
    for (int i = 0; i < 40; ++i) {
      const std::string key = "k" + std::to_string(i);
      batch.append({key, Do::kSet, {50 + i % 3}}, {1});
      batch.append({key, Do::kSet, {90}}, {1});
      expected.push_back(key + "@" + std::to_string(50 + i % 3) + " after 2");
    }
    h.push(std::move(batch));
    h.begin_watermark({60});
    Batch<Command> between;
    for (int i = 0; i < 40; i += 2) between.append({"k" + std::to_string(i)}, {60});
    between.append({"k1", Do::kSet, {20}}, {60});  // passed: not before the end of this batch
    expected.push_back("k1@20 after 3");
    h.push(std::move(between));
    EXPECT_TRUE(h.finish_watermark());
    std::vector<std::string> got = rows(h);
    std::sort(got.begin(), got.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(got, expected);
  });
}

TEST(ProcessFunction, TimersMoveWithTheirKeys) {
  for (const int parallelism : {1, 3}) {
    OperatorHarness h(make, {.backend = "rocksdb", .parallelism = 3});
    Batch<Command> batch;
    for (int i = 0; i < 50; ++i) {
      const std::string key = std::to_string(i);
      batch.append_hashed({key, Do::kSet, {50}, "x"}, {1}, key_hash(key));
      batch.append_hashed({key, Do::kSetProcessing, {50}, "y"}, {1}, key_hash(key));
    }
    h.push(std::move(batch));
    h.restart(parallelism);
    h.watermark({60});
    EXPECT_EQ(rows(h).size(), 50);
    h.advance(50ms);
    EXPECT_EQ(rows(h).size(), 50);
  }
}

struct WithoutTimers {
  using Out = int;
  explicit WithoutTimers(StateContext<std::string>& /*state*/) {}
  void process(const Command& c, ProcessContext<std::string, int>& ctx) {
    if (c.what == Do::kSet) ctx.set_timer(c.at);
    ctx.emit(1, ctx.time() + 1ms);
  }
};

TEST(ProcessFunction, SaysThatTimersNeedACallback) {
  using OpWithout = KeyedProcess<WithoutTimers, Command, KeyOf>;
  OperatorHarness h(
      [](OperatorContext& ctx) {
        return std::make_unique<OpWithout>(ctx, ProcessOptions{}, KeyOf{});
      },
      {});
  h.push<Command>({{{"a"}, {1}}});
  EXPECT_EQ(h.drain<int>().at(0).time, EventTime{2});
  EXPECT_THROW(h.push<Command>({{{"a", Do::kSet, {9}}, {1}}}), Error);
}

// Two inputs over one state: settles when both sides are there.
struct Order {
  std::int64_t id;
};
struct Payment {
  std::int64_t order;
  int amount;
};
struct Settle {
  using Out = std::string;
  using Context = ProcessContext<std::int64_t, Out>;
  Settle(StateContext<std::int64_t>& state, Duration patience)
      : within(patience), ordered(state, "ordered"), paid(state, "paid") {}

  void process_left(const Order&, Context& ctx) {
    ordered.set(true);
    settle(ctx);
  }
  void process_right(const Payment& p, Context& ctx) {
    paid.set(p.amount);
    settle(ctx);
  }
  void on_timer(const FiredTimer&, Context& ctx) {
    ctx.emit(std::to_string(ctx.key()) + " unsettled");
    ordered.clear();
    paid.clear();
  }
  void settle(Context& ctx) {
    if (ordered.find() == nullptr || paid.find() == nullptr) {
      ctx.set_timer(ctx.time() + within);
      return;
    }
    ctx.emit(std::to_string(ctx.key()) + " paid " + std::to_string(*paid.find()));
    EXPECT_TRUE(ordered.clear() && paid.clear());
    EXPECT_FALSE(paid.clear());
    ctx.delete_timer(ctx.time() + within);
  }

  const Duration within;
  ValueState<std::int64_t, bool> ordered;
  ValueState<std::int64_t, int> paid;
};

TEST(CoProcessFunction, SharesStateAndTimers) {
  using CoOp =
      KeyedCoProcess<Settle, Order, Payment, std::int64_t Order::*, std::int64_t Payment::*>;
  OperatorHarness::run(
      [](OperatorContext& ctx) {
        return std::make_unique<CoOp>(ctx, ProcessOptions{}, &Order::id, &Payment::order,
                                      Duration(10));
      },
      [](OperatorHarness& h) {
        SCOPED_TRACE(h.mode());
        h.push<Order>({{{1}, {5}}, {{2}, {5}}}, 0);
        h.push<Payment>({{{1, 30}, {5}}, {{3, 40}, {6}}}, 1);
        EXPECT_THAT(rows(h), ElementsAre("1 paid 30"));
        h.watermark({16});
        EXPECT_THAT(rows(h), ElementsAre("2 unsettled"));
        h.watermark({17});
        EXPECT_THAT(rows(h), ElementsAre("3 unsettled"));
      });
}

}  // namespace
}  // namespace tidemill
