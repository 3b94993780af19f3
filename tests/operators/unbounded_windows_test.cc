// Aggregates without bounds in event time (by number of records, running, by the clock), those of a
// whole stream, and how the DSL gives all of them.
#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "connectors/memory/memory_rows.h"
#include "connectors/memory/script.h"
#include "connectors/memory/scripted_source.h"
#include "operators/aggregates.h"
#include "operators/collections.h"
#include "operators/combined.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"
#include "operators/window_all.h"
#include "testing/operator_harness.h"
#include "testing/pipeline_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using testing::HarnessOptions;
using ::testing::IsEmpty;
using testing::OperatorHarness;
using testing::PipelineHarness;
using ::testing::UnorderedElementsAre;

struct Event {
  std::string key;
  int value = 1;
  std::int64_t at = 0;
};
using KeyOf = std::string Event::*;
using Total = Of<&Event::value, Sum<std::int64_t>>;

EventTime seconds(std::int64_t n) { return {n * 1000}; }
Record<Event> event(std::string key, std::int64_t time, int value = 1) {
  return {{std::move(key), value, time * 1000}, seconds(time)};
}
std::string window_text(const Window& window) {
  return "[" + std::to_string(window.start.ms / 1000) + "," + std::to_string(window.end.ms / 1000) +
         ")";
}
std::string text(const Keyed<std::string, std::int64_t>& row) {
  return row.key + "=" + std::to_string(row.value);
}
template <class Key>
std::string text(const Windowed<Key, std::int64_t>& row) {
  std::string key;
  if constexpr (std::is_same_v<Key, std::string>) key = row.key;
  return key + window_text(row.window) + "=" + std::to_string(row.value);
}
template <class Row>
std::string text(const Change<Row>& change) {
  const auto sign = change.kind == ChangeKind::kInsert   ? "+"
                    : change.kind == ChangeKind::kUpdate ? "~"
                                                         : "-";
  return sign + text(change.row);
}
template <class Row>
std::vector<std::string> rows(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const auto& [row, time] : h.drain<Row>())
    all.push_back(text(row) + "@" + std::to_string(time.ms / 1000));
  return all;
}

template <class Windows>
OperatorHarness::Make counted(Windows windows) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<GlobalWindow<Event, Total, KeyOf>>(ctx, windows, &Event::key);
  };
}
using GlobalRow = Keyed<std::string, std::int64_t>;

TEST(GlobalWindowTest, OfNRecordsThenEmptyAgain) {
  OperatorHarness::run(counted(CountWindow{2}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1, 1), event("a", 9, 2), event("a", 4, 4), event("b", 5, 8)});
    EXPECT_THAT(rows<GlobalRow>(h), ElementsAre("a=3@9"));
    h.watermark(seconds(60));
    h.push({event("a", 2, 16)});
    EXPECT_THAT(rows<GlobalRow>(h), ElementsAre("a=20@4")) << "nothing is late";
    h.end();
    EXPECT_THAT(rows<GlobalRow>(h), IsEmpty()) << "an incomplete one never fires";
  });
}

TEST(GlobalWindowTest, AtEachNthOverAllSoFar) {
  OperatorHarness::run(counted(EveryN{2}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1, 1), event("a", 9, 2), event("a", 4, 4)});
    EXPECT_THAT(rows<GlobalRow>(h), ElementsAre("a=3@9"));
    h.push({event("a", 2, 8)});
    EXPECT_THAT(rows<GlobalRow>(h), ElementsAre("a=15@9"));
  });
}

TEST(GlobalWindowTest, ImpossibleOrOtherWindowsAreRefused) {
  EXPECT_THROW(OperatorHarness(counted(CountWindow{0}), {}), Error);
  bool begins_anew = true;
  OperatorHarness h(
      [&](OperatorContext& ctx) {
        return begins_anew ? counted(CountWindow{2})(ctx) : counted(EveryN{2})(ctx);
      },
      {});
  begins_anew = false;
  EXPECT_THROW(h.restart(), Error);
}

OperatorHarness::Make running(RunningOptions options = {}) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<RunningAggregate<Event, Total, KeyOf>>(ctx, options, &Event::key);
  };
}
using RunningRow = Change<Keyed<std::string, std::int64_t>>;

TEST(RunningAggregateTest, ARowForEachKeyOfABatch) {
  OperatorHarness::run(running(), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 5, 1), event("b", 1, 2), event("a", 3, 4)});
    EXPECT_THAT(rows<RunningRow>(h), ElementsAre("+a=5@5", "+b=2@1"));
    h.watermark(seconds(60));
    h.push({event("a", 2, 8)});
    EXPECT_THAT(rows<RunningRow>(h), ElementsAre("~a=13@5"));
    h.end();
    EXPECT_THAT(rows<RunningRow>(h), IsEmpty());
  });
}

TEST(RunningAggregateTest, InMiniBatchesARowWhenTheWatermarkReachesAMultiple) {
  OperatorHarness::run(running({.every = 10s, .firing_budget = 1}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 5, 1), event("b", 1, 2)});
    h.watermark({9999});
    h.push({event("a", 6, 4)});
    EXPECT_THAT(rows<RunningRow>(h), IsEmpty());
    h.watermark(seconds(10));
    EXPECT_THAT(rows<RunningRow>(h), UnorderedElementsAre("+a=5@6", "+b=2@1"));
    h.push({event("a", 7, 8)});
    h.watermark({19999});
    EXPECT_THAT(rows<RunningRow>(h), IsEmpty());
    h.watermark(seconds(50));
    EXPECT_THAT(rows<RunningRow>(h), ElementsAre("~a=13@7"));
    h.push({event("b", 7, 16)});
    h.end();
    EXPECT_THAT(rows<RunningRow>(h), ElementsAre("~b=18@7"));
  });
}

TEST(RunningAggregateTest, AnUnfinishedFiringDoesNotShow) {
  OperatorHarness::run(running({.every = 10s, .firing_budget = 1}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 5, 1), event("b", 1, 1), event("c", 1, 1)});
    h.begin_watermark(seconds(10));
    h.push({event("a", 6, 10), event("b", 6, 10), event("c", 6, 10)});
    EXPECT_TRUE(h.finish_watermark());
    EXPECT_THAT(rows<RunningRow>(h), UnorderedElementsAre("+a=1@5", "+b=1@1", "+c=1@1"));
    h.watermark(seconds(20));
    EXPECT_THAT(rows<RunningRow>(h), UnorderedElementsAre("~a=11@6", "~b=11@6", "~c=11@6"));
  });
}

TEST(RunningAggregateTest, AKeyThatIsSilentForItsTimeBeginsAnew) {
  for (const std::size_t budget : std::vector<std::size_t>{1, 4096}) {
    OperatorHarness::run(running({.ttl = 10s, .firing_budget = budget}), [](OperatorHarness& h) {
      SCOPED_TRACE(h.mode());
      h.push({event("a", 5, 1), event("b", 9, 2), event("c", 1, 4)});
      h.watermark(seconds(15));
      EXPECT_THAT(rows<RunningRow>(h), ElementsAre("+a=1@5", "+b=2@9", "+c=4@1"));
      h.push({event("a", 2, 8), event("c", 15, 8)});
      EXPECT_THAT(rows<RunningRow>(h), ElementsAre("~a=9@5", "+c=8@15")) << "a: not passed";
      h.begin_watermark({15001});
      h.push({event("a", 16, 16), event("b", 16, 16)});
      h.finish_watermark();
      EXPECT_THAT(rows<RunningRow>(h), ElementsAre("+a=16@16", "~b=18@16"));
      h.watermark(seconds(40));
      h.push({event("a", 1, 1), event("a", 1, 2)});
      EXPECT_THAT(rows<RunningRow>(h), ElementsAre("+a=2@1"))
          << "each one is at its end when it comes";
    });
  }
}

TEST(RunningAggregateTest, AKeyIsNotDroppedBeforeItHasHadItsRow) {
  OperatorHarness::run(
      running({.every = 60s, .ttl = 10s, .firing_budget = 1}), [](OperatorHarness& h) {
        SCOPED_TRACE(h.mode());
        h.watermark(seconds(1));
        h.push({event("a", 5, 1), event("b", 6, 1)});
        h.watermark(seconds(50));
        h.push({event("a", 51, 2)});
        EXPECT_THAT(rows<RunningRow>(h), IsEmpty());
        h.begin_watermark(seconds(70));
        h.push({event("b", 71, 4), event("a", 71, 4)});
        h.finish_watermark();
        EXPECT_THAT(rows<RunningRow>(h), UnorderedElementsAre("+a=3@51", "+b=1@6"));
        h.end();
        EXPECT_THAT(rows<RunningRow>(h), UnorderedElementsAre("+a=4@71", "+b=4@71"));
      });
}

TEST(RunningAggregateTest, SilentKeysLeaveTheMemory) {
  OperatorHarness h(running({.ttl = 10s}), {.backend = "memory"});
  const auto fill = [&](int second) {
    Batch<Event> batch;
    for (int i = 0; i < 1'000; ++i)
      batch.append(event("key " + std::to_string(second) + std::to_string(i), second).value,
                   seconds(second));
    h.push(std::move(batch));
    (void)rows<RunningRow>(h);
  };
  fill(0);
  h.watermark(seconds(1));
  const std::size_t once = h.memory_used();
  for (int second = 20; second < 200; second += 20) {
    h.watermark(seconds(second));
    fill(second);
  }
  EXPECT_LT(h.memory_used(), 3 * once) << "of ten times as many keys";
}

TEST(RunningAggregateTest, OptionsMayBeGivenAndTakenAway) {
  RunningOptions options{.every = 10s};
  OperatorHarness h([&](OperatorContext& ctx) { return running(options)(ctx); },
                    {.backend = "rocksdb"});
  h.watermark(seconds(1));
  h.push({event("a", 1, 1), event("b", 2, 2)});
  options = {.ttl = 10s};
  h.restart();
  h.push({event("b", 3, 4)});
  EXPECT_THAT(rows<RunningRow>(h), ElementsAre("+b=6@3"));
  h.watermark(seconds(12));
  EXPECT_THAT(rows<RunningRow>(h), ElementsAre("+a=1@1")) << "owed from before";
  options = {};
  h.restart();
  EXPECT_THAT(h.unused_states(), IsEmpty());
  h.watermark(seconds(30));
  h.push({event("a", 30, 1), event("b", 30, 1)});
  EXPECT_THAT(rows<RunningRow>(h), UnorderedElementsAre("~a=2@30", "~b=7@30"));
  options = {.every = 10s, .ttl = 10s};
  h.restart();
  EXPECT_THAT(h.unused_states(), IsEmpty());
  h.push({event("a", 35, 1)});
  h.watermark(seconds(60));
  h.push({event("a", 60, 1), event("b", 60, 1)});
  h.end();
  EXPECT_THAT(rows<RunningRow>(h), UnorderedElementsAre("~a=3@35", "+a=1@60", "~b=8@60"))
      << "b was written without an end";
  options = {.ttl = 0s};
  EXPECT_THROW(h.restart(), Error);
}

OperatorHarness::Make by_clock(std::size_t budget = 100, Duration size = 10s) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<ProcessingWindow<Event, Total, KeyOf>>(ctx, ProcessingTumbling{size},
                                                                   budget, &Event::key);
  };
}
using ClockRow = Windowed<std::string, std::int64_t>;

TEST(ProcessingWindowTest, FiresWhenTheClockReachesItsEnd) {
  OperatorHarness::run(by_clock(), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.advance(3s);
    h.push({event("a", 100, 1), event("b", 1, 2), event("a", -5, 4)});
    h.watermark(seconds(200));
    h.advance(6s);
    EXPECT_THAT(rows<ClockRow>(h), IsEmpty());
    h.advance(1s);
    EXPECT_THAT(rows<ClockRow>(h), UnorderedElementsAre("a[0,10)=5@9", "b[0,10)=2@9"));
    h.push({event("a", 1, 8)});
    h.end();
    EXPECT_THAT(rows<ClockRow>(h), ElementsAre("a[10,20)=8@19")) << "what is left at the end";
  });
}

TEST(ProcessingWindowTest, WhatIsOwedComesWithLaterTicks) {
  OperatorHarness::run(by_clock(1), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1, 1), event("b", 1, 2), event("c", 1, 4)});
    h.advance(10s);
    h.push({event("a", 1, 8), event("b", 1, 8), event("c", 1, 8)});
    h.advance(0s);
    h.advance(0s);
    EXPECT_THAT(rows<ClockRow>(h),
                UnorderedElementsAre("a[0,10)=1@9", "b[0,10)=2@9", "c[0,10)=4@9"));
  });
}

TEST(ProcessingWindowTest, AnotherSizeIsRefused) {
  Duration size = 10s;
  OperatorHarness h([&](OperatorContext& ctx) { return by_clock(1, size)(ctx); }, {});
  size = 5s;
  EXPECT_THROW(h.restart(), Error);
}

using Partials = PartialWindow<Event, Total>;

OperatorHarness::Make partials(bool at_once = false) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<Partials>(ctx, AlignedWindows(Tumbling{10s}), at_once);
  };
}
std::vector<std::string> partial_rows(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const auto& [partial, time] : h.drain<Partials::Out>())
    all.push_back(std::to_string(partial.content.result()) + (partial.record ? "!" : "") + "@" +
                  std::to_string(time.ms));
  return all;
}

TEST(PartialWindowTest, OneForEachSliceOnceItIsClosedAndEachRecordBehindByItself) {
  OperatorHarness::run(partials(), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1, 1), event("b", 2, 2), event("a", 11, 4)});
    h.watermark({9999});
    EXPECT_THAT(partial_rows(h), IsEmpty());
    h.watermark(seconds(10));
    EXPECT_THAT(partial_rows(h), ElementsAre("3@9999"));
    h.push({event("a", 3, 8), event("a", 12, 16)});
    EXPECT_THAT(partial_rows(h), ElementsAre("8!@3000"));
    h.end();
    EXPECT_THAT(partial_rows(h), ElementsAre("20@19999"));
  });
}

TEST(PartialWindowTest, AtOnceWhereWindowsGiveEarlyRows) {
  OperatorHarness::run(partials(true), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1, 1), event("b", 2, 2), event("a", 11, 4)});
    EXPECT_THAT(partial_rows(h), ElementsAre("3@9999", "4@19999"));
    h.end();
    EXPECT_THAT(partial_rows(h), IsEmpty());
  });
}

TEST(PartialWindowTest, ChangesOfParallelismKeepWhatSubtasksHave) {
  for (const int later : {1, 3, 8}) {
    OperatorHarness h(partials(), {.backend = "memory", .parallelism = 4, .key_groups = 8});
    Batch<Event> batch;
    for (int i = 0; i < 100; ++i) {
      Record<Event> r = event("key" + std::to_string(i), i % 20, 1);
      batch.append_hashed(r.value, r.time, key_hash(r.value.key));
    }
    h.push(std::move(batch));
    h.restart(later);
    h.end();
    std::map<std::int64_t, std::int64_t> totals;
    for (const auto& [partial, time] : h.drain<Partials::Out>())
      totals[time.ms] += partial.content.result();
    EXPECT_EQ(totals, (std::map<std::int64_t, std::int64_t>{{9999, 50}, {19999, 50}}));
  }
}

// The whole of it: read, key, aggregate, as a job would.
class WindowDslTest : public ::testing::Test {
 protected:
  Stream<Event> events() {
    return read_events(
        graph_, "events", SourceSpec<Event>{"script", read_script(script_, 0, 2)},
        [](const Event& e) { return EventTime{e.at}; }, Duration(0));
  }
  template <class T>
  void show(const Stream<T>& stream, const std::string& name) {
    stream.sink_to("rows of " + name, memory_sink(rows_[name] = std::make_shared<MemoryRows>()),
                   [](const T& row, EventTime, OutputBatch& out) {
                     out.begin_row();
                     out.end_key();
                     if constexpr (std::is_same_v<T, Event>) {
                       out.buffer() += row.key;
                     } else {
                       out.buffer() += text(row);
                     }
                     out.end_row();
                   });
  }
  std::vector<std::string> rows(const std::string& name) {
    std::vector<std::string> all;
    for (const MemoryRow& row : rows_.at(name)->take_written()) all.push_back(row.value);
    return all;
  }
  static Event at(std::string key, std::int64_t time, int value = 1) {
    return event(std::move(key), time, value).value;
  }

  std::shared_ptr<Script<Event>> script_ =
      std::make_shared<Script<Event>>(std::vector<std::string>{"p0", "p1"});
  std::shared_ptr<GraphBuilder> graph_ = std::make_shared<GraphBuilder>();
  std::map<std::string, std::shared_ptr<MemoryRows>> rows_;
};

TEST_F(WindowDslTest, EachKindOfWindowIsOneCall) {
  const auto keyed = events().key_by(&Event::key);
  const auto sessions = keyed.window(Session{5s}).aggregate<Total>("sessions");
  show(sessions, "sessions");
  show(sessions.late(), "late");
  show(keyed.window(Session{5s}).append_only().aggregate<Total>("appended"), "appended");
  show(keyed.window(CountWindow{2}).aggregate<Total>("pairs"), "pairs");
  show(keyed.window(EveryN{2}).aggregate<Total>("every second"), "every second");
  show(keyed.aggregate<Total>("running", {.every = 60s}), "running");
  show(keyed.window(ProcessingTumbling{10s}).aggregate<Total>("by clock"), "by clock");
  PipelineHarness harness(graph_->graph(), {.parallelism = 2});
  script_->batch(0, {at("a", 1, 1), at("b", 2, 2), at("a", 3, 4)});
  harness.run_until_quiet();
  script_->batch(1, {at("a", 20, 8)});
  script_->batch(0, {at("b", 30, 16)});
  harness.run_until_quiet();
  script_->batch(0, {at("b", 4, 32)});
  harness.run_until_quiet();
  harness.restart(3);
  harness.advance(10s);
  EXPECT_THAT(rows("by clock"), UnorderedElementsAre("a[0,10)=13", "b[0,10)=50"));
  script_->end({0, 1});
  harness.run_until_quiet();
  EXPECT_THAT(rows("sessions"),
              UnorderedElementsAre("+a[1,8)=5", "+b[2,7)=2", "+a[20,25)=8", "+b[30,35)=16"));
  EXPECT_THAT(rows("appended"),
              UnorderedElementsAre("a[1,8)=5", "b[2,7)=2", "a[20,25)=8", "b[30,35)=16"));
  EXPECT_THAT(rows("late"), ElementsAre("b"));
  EXPECT_THAT(rows("pairs"), UnorderedElementsAre("a=5", "b=18"));
  EXPECT_THAT(rows("every second"), UnorderedElementsAre("a=5", "b=18"));
  EXPECT_THAT(rows("running"), UnorderedElementsAre("+a=13", "+b=50"));
}

TEST_F(WindowDslTest, AWholeStreamHasOneRowPerWindowAtAnyParallelism) {
  for (const int parallelism : {1, 2, 3}) {
    SCOPED_TRACE(parallelism);
    script_ = std::make_shared<Script<Event>>(std::vector<std::string>{"p0", "p1"});
    graph_ = std::make_shared<GraphBuilder>();
    const auto totals = events()
                            .window_all(Sliding{.size = 10s, .slide = 5s}, {.allowed_lateness = 3s})
                            .aggregate<Total>("totals");
    show(totals, "totals");
    show(totals.late(), "late");
    PipelineHarness harness(graph_->graph(), {.parallelism = parallelism});
    script_->batch(0, {at("a", 1, 1), at("b", 6, 2), at("c", 21, 4)});
    script_->batch(1, {at("d", 2, 8), at("e", 11, 16)});
    harness.run_until_quiet();
    EXPECT_THAT(rows("totals"), ElementsAre("[-5,5)=9", "[0,10)=11"));
    // Behind its own input's watermark, 21 s, not behind that of both, 11 s.
    script_->batch(0, {at("f", 12, 32)});
    harness.run_until_quiet();
    EXPECT_THAT(rows("totals"), IsEmpty());
    // Late by now, but [0,10) is kept until 13 s.
    script_->batch(0, {at("g", 7, 64)});
    harness.run_until_quiet();
    EXPECT_THAT(rows("totals"), ElementsAre("[0,10)=75"));
    harness.restart(parallelism % 3 + 1);
    script_->batch(1, {at("h", 3, 128)});
    script_->batch(1, {at("i", 14, 256)});
    script_->batch(1, {at("j", 3, 512)});
    harness.run_until_quiet();
    EXPECT_THAT(rows("totals"), ElementsAre("[0,10)=203"));
    EXPECT_THAT(rows("late"), ElementsAre("j"));
    script_->end({0, 1});
    harness.run_until_quiet();
    EXPECT_THAT(rows("totals"), ElementsAre("[5,15)=370", "[10,20)=304", "[15,25)=4", "[20,30)=4"));
  }
}

}  // namespace
}  // namespace tidemill
