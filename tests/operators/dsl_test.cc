// The DSL over whole jobs: more outputs than one, unions, late records, watermark generators.
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "connectors/memory/memory_rows.h"
#include "connectors/memory/scripted_source.h"
#include "operators/aggregates.h"
#include "operators/combined.h"
#include "operators/function_state.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"
#include "state/keyed_value.h"
#include "testing/pipeline_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::PipelineHarness;
using testing::PipelineOptions;
using ::testing::UnorderedElementsAre;

struct Event {
  std::string key;
  std::int64_t at = 0;
  int value = 0;
};

// Small numbers one way, great ones another, and how often each key came.
class Sorted final : public OneInput<Event> {
 public:
  using Out = Event;
  static constexpr OutputPort<std::string> kGreat{1};
  static constexpr OutputPort<int> kCounts{2};

  Sorted(OperatorContext& ctx, int limit)
      : limit_(limit),
        counts_(ctx, "counts"),
        small_(ctx.output<Event>(0)),
        great_(ctx.output(kGreat)),
        counted_(ctx.output(kCounts)) {}

  void process(Batch<Event>& batch) override {
    for (const auto& [event, time] : batch) {
      counted_.emit(++counts_[event.key], time);
      if (event.value < limit_) {
        small_.emit(event, time);
      } else {
        great_.emit(event.key + "!", time);
      }
    }
  }

 private:
  const int limit_;
  KeyedValue<std::string, int> counts_;
  Emitter<Event>& small_;
  Emitter<std::string>& great_;
  Emitter<int>& counted_;
};

// Trusts nothing but every third record of a split.
struct EveryThird {
  int seen = 0;
  EventTime greatest = EventTime::min();
  EventTime trusted = EventTime::min();

  void observe(const Event&, EventTime time) {
    greatest = std::max(greatest, time);
    if (++seen % 3 == 0) trusted = greatest;
  }
  [[nodiscard]] EventTime watermark() const { return trusted; }
  void save(Bytes& out) const {
    append_varint(out, static_cast<std::uint64_t>(seen));
    append_u64(out, ordered(greatest.ms));
    append_u64(out, ordered(trusted.ms));
  }
  void load(ByteReader& in) {
    seen = static_cast<int>(in.varint());
    greatest = {unordered(in.u64())};
    trusted = {unordered(in.u64())};
  }
};

class DslTest : public ::testing::Test {
 protected:
  Stream<Event> read(const std::string& name, std::size_t first, std::size_t count) {
    return read_events(graph_, name,
                       SourceSpec<Event>{"script", read_script(script_, first, count)}, time_of,
                       Duration(0));
  }
  static EventTime time_of(const Event& e) { return EventTime{e.at}; }

  template <class T, class Text>
  void show(const Stream<T>& stream, const std::string& name, Text text) {
    stream.sink_to(name, memory_sink(rows_[name] = std::make_shared<MemoryRows>()),
                   [text](const T& row, EventTime time, OutputBatch& out) {
                     out.begin_row();
                     out.end_key();
                     out.buffer() += text(row) + "@" + std::to_string(time.ms);
                     out.end_row();
                   });
  }
  std::vector<std::string> rows(const std::string& name) {
    std::vector<std::string> all;
    for (const MemoryRow& row : rows_.at(name)->take_written()) all.push_back(row.value);
    return all;
  }

  std::shared_ptr<Script<Event>> script_ =
      std::make_shared<Script<Event>>(std::vector<std::string>{"p0", "p1"});
  std::shared_ptr<GraphBuilder> graph_ = std::make_shared<GraphBuilder>();
  std::map<std::string, std::shared_ptr<MemoryRows>> rows_;
};

TEST_F(DslTest, AnOperatorHasAsManyTypedOutputsAsItNames) {
  const auto sorted = read("events", 0, 2).key_by(&Event::key).process<Sorted>("sorted", 10);
  show(sorted, "small", [](const Event& e) { return e.key; });
  show(sorted.side(Sorted::kGreat), "great", [](const std::string& s) { return s; });
  show(sorted.side(Sorted::kCounts), "counts", [](int n) { return std::to_string(n); });
  PipelineHarness harness(graph_->graph(), {.parallelism = 2});
  script_->batch(0, {{"a", 1, 5}, {"a", 2, 15}});
  harness.run_until_quiet();
  harness.restart(3);
  script_->batch(1, {{"a", 3, 10}});
  harness.run_until_quiet();
  EXPECT_THAT(rows("small"), ElementsAre("a@1"));
  EXPECT_THAT(rows("great"), ElementsAre("a!@2", "a!@3"));
  EXPECT_THAT(rows("counts"), ElementsAre("1@1", "2@2", "3@3"));
}

// What state takes as a key parts a stream too: pairs, instants, structs.
TEST_F(DslTest, AStreamIsPartedByWhatStateTakesAsAKey) {
  const auto counts = read("events", 0, 2)
                          .key_by([](const Event& e) { return std::pair(e.key, EventTime{e.at}); })
                          .window(Tumbling{Duration(10)})
                          .aggregate<Count>("counts");
  show(counts, "rows", [](const auto& row) {
    return row.key.first + std::to_string(row.key.second.ms) + "=" + std::to_string(row.value);
  });
  PipelineHarness harness(graph_->graph(), {.parallelism = 3});
  script_->batch(0, {{"a", 1, 0}, {"a", 2, 0}, {"b", 1, 0}, {"a", 1, 0}});
  harness.run_until_quiet();
  harness.restart(2);
  script_->end({0, 1});
  harness.run_until_quiet();
  EXPECT_THAT(rows("rows"), UnorderedElementsAre("a1=2@9", "a2=1@9", "b1=1@9"));
}

// A process function: what a key brought since its last timer, and the first value as it came.
struct SumUntilTimer {
  using Out = Event;
  static constexpr OutputPort<std::string> kFirst{1};

  SumUntilTimer(StateContext<std::string>& state, Duration after)
      : wait(after), sum(state, "sum"), first(state.output(kFirst)) {}
  void process(const Event& e, ProcessContext<std::string, Event>& ctx) {
    if (sum.find() == nullptr) {
      first.emit(e.key + std::to_string(e.value), ctx.time());
      ctx.set_timer(ctx.time() + wait);
    }
    sum.value() += e.value;
  }
  void on_timer(const FiredTimer& timer, ProcessContext<std::string, Event>& ctx) {
    ctx.emit({ctx.key(), timer.time.ms, *sum.find()});
    sum.clear();
  }

  const Duration wait;
  ValueState<std::string, int> sum;
  Emitter<std::string>& first;
};

TEST_F(DslTest, AProcessFunctionHasTimersAndSideOutputs) {
  const auto sums =
      read("events", 0, 2).key_by(&Event::key).process<SumUntilTimer>("sum", Duration(10));
  show(sums, "rows", [](const Event& e) { return e.key + std::to_string(e.value); });
  show(sums.side(SumUntilTimer::kFirst), "first", [](const std::string& s) { return s; });
  PipelineHarness harness(graph_->graph(), {.parallelism = 2});
  script_->batch(0, {{"a", 1, 5}, {"b", 2, 7}, {"a", 9, 20}});
  script_->batch(1, {{"b", 2, 30}});
  harness.run_until_quiet();
  harness.restart(3);
  EXPECT_THAT(rows("first"), UnorderedElementsAre("a5@1", ::testing::StartsWith("b")));
  script_->batch(0, {{"c", 12, 1}});
  script_->batch(1, {{"c", 12, 1}});
  harness.run_until_quiet();
  EXPECT_THAT(rows("rows"), ElementsAre("a25@11"));
  script_->end({0, 1});
  harness.run_until_quiet();
  EXPECT_THAT(rows("rows"), UnorderedElementsAre("b37@12", "c2@22"));
}

TEST_F(DslTest, ASideOutputNobodyReadsIsNoMistake) {
  show(read("events", 0, 2).process<Sorted>("sorted", 10).map(&Event::key), "small",
       [](const std::string& key) { return key; });
  PipelineHarness harness(graph_->graph(), {});
  script_->batch(0, {{"a", 1, 50}, {"b", 2, 5}});
  harness.run_until_quiet();
  EXPECT_THAT(rows("small"), ElementsAre("b@2"));
}

TEST_F(DslTest, AUnionIsOneStreamWithTheWatermarkOfTheSlowest) {
  const auto counts =
      read("left", 0, 1)
          .union_with(read("right", 1, 1).filter([](const Event& e) { return e.value >= 0; }))
          .key_by(&Event::key)
          .window(Tumbling{.size = Duration(10)})
          .aggregate<Count>("counts");
  show(counts, "rows", [](const auto& row) { return row.key + std::to_string(row.value); });
  show(counts.late(), "late", [](const Event& e) { return e.key; });
  PipelineHarness harness(graph_->graph(), {.parallelism = 2});
  script_->batch(0, {{"a", 1}, {"a", 12}});
  harness.run_until_quiet();
  EXPECT_THAT(rows("rows"), IsEmpty()) << "the right side has said nothing yet";
  script_->batch(1, {{"a", 2}, {"a", 3, -1}, {"b", 15}});
  harness.run_until_quiet();
  EXPECT_THAT(rows("rows"), ElementsAre("a2@9"));
  script_->batch(1, {{"a", 4}});
  harness.run_until_quiet();
  EXPECT_THAT(rows("late"), ElementsAre("a@4")) << "with its type, as it came";
  script_->end({0, 1});
  harness.run_until_quiet();
  EXPECT_THAT(rows("rows"), UnorderedElementsAre("a1@19", "b1@19"));
}

TEST_F(DslTest, AWatermarkGeneratorOfOnesOwnGoesOnAfterARestart) {
  const auto events =
      read_events(graph_, "events", SourceSpec<Event>{"script", read_script(script_, 0, 2)},
                  time_of, EventTimeSettings<EveryThird>{});
  show(events.key_by(&Event::key).window(Tumbling{.size = Duration(10)}).aggregate<Count>("counts"),
       "rows", [](const auto& row) { return row.key + std::to_string(row.value); });
  PipelineHarness harness(graph_->graph(), {.parallelism = 2});
  script_->batch(0, {{"a", 1}, {"a", 30}});
  script_->batch(1, {{"a", 2}, {"a", 40}});
  harness.run_until_quiet();
  harness.restart(1);
  EXPECT_THAT(rows("rows"), IsEmpty());
  script_->batch(0, {{"a", 25}});  // the third of its split: trusted up to 30
  script_->batch(1, {{"a", 9}});   // likewise: 40
  harness.run_until_quiet();
  EXPECT_THAT(rows("rows"), UnorderedElementsAre("a3@9", "a1@29"));
}

TEST_F(DslTest, AHotKeyIsAddedUpBeforeItIsSent) {
  const auto counts = read("events", 0, 2)
                          .key_by(&Event::key)
                          .window(Tumbling{.size = Duration(100'000)}, {.allowed_lateness = 1s})
                          .aggregate<Combined<Count, Of<&Event::value, Sum<int>>>>("counts");
  show(counts, "rows", [](const auto& row) {
    const auto& [n, sum] = row.value;
    return row.key + " " + std::to_string(n) + " " + std::to_string(sum);
  });
  show(counts.late(), "late", [](const Event& e) { return e.key; });
  PipelineHarness harness(graph_->graph(), {.parallelism = 2});
  const Labels labels{{"operator", "counts.partials"}, {"subtask", "0"}};
  Counter& added_up = harness.metrics().counter("tidemill_records_pre_aggregated_total", labels);
  Counter& sent = harness.metrics().counter(
      "tidemill_operator_records_out_total",
      {{"output", "0"}, {"operator", "counts.partials"}, {"subtask", "0"}});
  const auto give = [&](std::int64_t at, const std::function<std::string(int)>& key) {
    std::vector<Event> events;
    for (int i = 0; i < 10'000; ++i) events.push_back({key(i), at, 1});
    script_->batch(0, events);
    script_->batch(1, {{"other", at, 5}});
    harness.run_until_quiet();
  };
  give(1000, [](int) { return "hot"; });
  EXPECT_EQ(added_up.value(), 0U) << "the watermark is not known yet";
  const std::uint64_t before = sent.value();
  give(2000, [](int i) { return i % 10 == 0 ? "warm" : "hot"; });
  EXPECT_EQ(added_up.value(), 10'000U);
  EXPECT_LT(sent.value() - before, 100U);
  give(3000, [](int i) { return "cold" + std::to_string(i); });
  give(4000, [](int i) { return "cold" + std::to_string(i); });
  EXPECT_LT(added_up.value(), 30'000U) << "it does not pay and is left off for a while";
  harness.restart(3);
  harness.restart(1);  // one subtask has no such step, and nothing of it is state
  script_->end({0, 1});
  harness.run_until_quiet();
  const auto all = rows("rows");
  EXPECT_THAT(all, ::testing::SizeIs(10'003));
  EXPECT_THAT(
      all, ::testing::IsSupersetOf({"hot 19000 19000@99999", "warm 1000 1000@99999",
                                    "other 4 20@99999", "cold7 2 2@99999", "cold9999 2 2@99999"}));
}

}  // namespace
}  // namespace tidemill
