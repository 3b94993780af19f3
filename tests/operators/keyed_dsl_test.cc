// Deduplication, ranks, sorting, partitionings and co-process functions, as a job says them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "connectors/memory/memory_rows.h"
#include "connectors/memory/scripted_source.h"
#include "operators/aggregates.h"
#include "operators/combined.h"
#include "operators/connected_streams.h"
#include "operators/function_state.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"
#include "testing/pipeline_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using testing::PipelineHarness;
using ::testing::UnorderedElementsAre;

struct Event {
  std::string key;
  std::int64_t at = 0;
  int value = 0;
  friend bool operator==(const Event&, const Event&) = default;
  BOOST_DESCRIBE_CLASS(Event, (), (key, at, value), (), ())
};

// Adds up what both sides bring; the right one takes away.
struct Balance {
  using Out = std::string;
  explicit Balance(StateContext<std::string>& state) : sum(state, "sum") {}
  void process_left(const Event& e, ProcessContext<std::string, Out>& ctx) { add(e.value, ctx); }
  void process_right(const Event& e, ProcessContext<std::string, Out>& ctx) { add(-e.value, ctx); }
  void add(int value, ProcessContext<std::string, Out>& ctx) {
    ctx.emit(ctx.key() + std::to_string(sum.value() += value));
  }
  ValueState<std::string, int> sum;
};

class KeyedDslTest : public ::testing::Test {
 protected:
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
  void show(const Stream<Event>& stream, const std::string& name) {
    show(stream, name, [](const Event& e) { return e.key + std::to_string(e.value); });
  }
  std::vector<std::string> rows(const std::string& name) {
    std::vector<std::string> all;
    for (const MemoryRow& row : rows_.at(name)->take_written()) all.push_back(row.value);
    return all;
  }

  std::shared_ptr<Script<Event>> script_ =
      std::make_shared<Script<Event>>(std::vector<std::string>{"p0"});
  std::shared_ptr<GraphBuilder> graph_ = std::make_shared<GraphBuilder>();
  Stream<Event> events_ = read_events(
      graph_, "events", SourceSpec<Event>{"script", read_script(script_, 0, 1)},
      [](const Event& e) { return EventTime{e.at}; }, Duration(5));
  std::map<std::string, std::shared_ptr<MemoryRows>> rows_;
};

TEST_F(KeyedDslTest, FirstLastBestAndSorted) {
  const auto keyed = events_.key_by(&Event::key);
  show(keyed.dedup_first("first", Duration(10)), "first rows");
  show(keyed.dedup_last("last"), "last rows",
       [](const Change<Event>& c) { return c.row.key + std::to_string(c.row.value); });
  show(keyed.top_n("best", 1, &Event::value, RankOrder::kAscending), "best rows",
       [](const auto& c) { return c.row.key + std::to_string(c.row.row.value); });
  show(keyed.sort_by_event_time("sorted"), "sorted rows");
  show(events_.sort_by_event_time("all sorted"), "all sorted rows");
  PipelineHarness harness(graph_->graph(), {.parallelism = 2});
  script_->batch(0, {{"a", 5, 2}, {"a", 3, 3}, {"b", 4, 1}, {"a", 13, 4}});
  harness.run_until_quiet();
  harness.restart(3);
  script_->end({0});
  harness.run_until_quiet();
  EXPECT_THAT(rows("first rows"), UnorderedElementsAre("a3@3", "a4@13", "b1@4"));
  EXPECT_THAT(rows("last rows"), UnorderedElementsAre("a4@13", "b1@4"));
  EXPECT_THAT(rows("best rows"), UnorderedElementsAre("a2@5", "b1@4"));
  EXPECT_THAT(rows("sorted rows"), UnorderedElementsAre("a3@3", "b1@4", "a2@5", "a4@13"));
  EXPECT_THAT(rows("all sorted rows"), ElementsAre("a3@3", "b1@4", "a2@5", "a4@13"));
}

TEST_F(KeyedDslTest, RunningAggregatesAreAddedUpBeforeTheyAreSent) {
  const auto keyed = events_.key_by(&Event::key);
  const auto text = [](const auto& c) { return c.row.key + " " + std::to_string(c.row.value); };
  using Total = Of<&Event::value, Sum<int>>;
  show(keyed.aggregate<Total>("each batch"), "each batch rows", text);
  show(keyed.aggregate<Total>("at times", {.every = Duration(100)}), "at times rows", text);
  show(keyed.aggregate<Total>("one by one", {.pre_aggregates = false}), "one by one rows", text);
  PipelineHarness harness(graph_->graph(), {.parallelism = 2});
  const auto give = [&](std::int64_t at) {
    std::vector<Event> events(1000, {"hot", at, 1});
    events.push_back({"cold", at, 1});
    script_->batch(0, events);
    harness.run_until_quiet();
  };
  give(10);
  give(20);
  const auto added_up = [&](const std::string& name) {
    return harness.metrics()
        .counter("tidemill_records_pre_aggregated_total",
                 {{"operator", name + ".partials"}, {"subtask", "0"}})
        .value();
  };
  EXPECT_EQ(added_up("each batch"), 1001U) << "the second; one subtask has no such step";
  EXPECT_EQ(added_up("at times"), 1001U);
  EXPECT_EQ(added_up("one by one"), 0U);
  harness.restart(3);
  give(30);
  give(40);
  harness.restart(1);
  give(50);
  give(60);
  script_->end({0});
  harness.run_until_quiet();
  for (const std::string name : {"each batch", "at times", "one by one"}) {
    std::map<std::string, std::string> last;
    for (const std::string& row : rows(name + " rows")) last[row.substr(0, row.find(' '))] = row;
    EXPECT_EQ(last["hot"], "hot 6000@60") << name;
    EXPECT_EQ(last["cold"], "cold 6@60") << name;
  }
}

TEST_F(KeyedDslTest, RebalancedAndPartitionedStreamsLoseNothing) {
  const auto by_value = [](const Event& e, std::size_t subtasks) {
    return static_cast<std::size_t>(e.value) % subtasks;
  };
  show(events_.rebalance().partition_by(by_value), "rows");
  PipelineHarness harness(graph_->graph(), {.parallelism = 3});
  script_->batch(0, {{"a", 1, 1}, {"b", 2, 2}});
  script_->batch(0, {{"a", 3, 3}});
  harness.run_until_quiet();
  EXPECT_THAT(rows("rows"), UnorderedElementsAre("a1@1", "b2@2", "a3@3"));
}

TEST_F(KeyedDslTest, APartitionerThatNamesNoSubtaskStopsTheJob) {
  show(events_.partition_by([](const Event&, std::size_t subtasks) { return subtasks; }), "rows");
  PipelineHarness harness(graph_->graph(), {.parallelism = 2});
  script_->batch(0, {{"a", 1, 1}});
  EXPECT_THROW(harness.run_until_quiet(), Error);
}

TEST_F(KeyedDslTest, ACoProcessFunctionSharesTheKeysState) {
  const auto left = events_.filter([](const Event& e) { return e.value > 10; });
  const auto right = events_.filter([](const Event& e) { return e.value <= 10; });
  show(left.key_by(&Event::key).connect(right.key_by(&Event::key)).process<Balance>("balance"),
       "rows", [](const std::string& text) { return text; });
  PipelineHarness harness(graph_->graph(), {.parallelism = 2});
  script_->batch(0, {{"a", 1, 20}});
  harness.run_until_quiet();
  harness.restart(1);
  script_->batch(0, {{"a", 2, 5}});
  harness.run_until_quiet();
  EXPECT_THAT(rows("rows"), ElementsAre("a20@1", "a15@2"));
}

}  // namespace
}  // namespace tidemill
