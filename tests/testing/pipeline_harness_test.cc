#include "testing/pipeline_harness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "connectors/memory/memory_rows.h"
#include "connectors/memory/scripted_source.h"
#include "engine/base/error.h"
#include "operators/source.h"
#include "operators/stream.h"
#include "state/keyed_value.h"

namespace tidemill::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;

struct Event {
  std::string key;
  std::int64_t at = 0;
};

// Numbers the events of each key.
class Numbered final : public OneInput<Event> {
 public:
  explicit Numbered(OperatorContext& ctx)
      : counts_(ctx, "counts"), out_(ctx.output<std::string>(0)) {}

  void process(Batch<Event>& batch) override {
    for (const auto& record : batch) {
      if (record.value.key.empty()) throw Error(ErrorCode::kUser, "an event without a key");
      std::int64_t& count = counts_.at(record.value.key, stable_hash(record.value.key));
      out_.emit(record.value.key + std::to_string(++count), record.time);
    }
  }

 private:
  KeyedValue<std::string, std::int64_t> counts_;
  Emitter<std::string>& out_;
};

class PipelineHarnessTest : public ::testing::TestWithParam<const char*> {
 protected:
  Graph graph(std::size_t inputs) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < inputs; ++i) names.push_back("p" + std::to_string(i));
    script_ = std::make_shared<Script<Event>>(names);
    auto builder = std::make_shared<GraphBuilder>();
    const auto source = add_source<Event>(
        builder, "events", SourceSpec<Event>{"script", read_script(script_, 0, inputs)},
        SourceSettings{},
        [](const Event& raw, const Origin&, Event& out, Rejection&) {
          out = raw;
          return true;
        },
        [](const Event& e) { return EventTime{e.at}; }, EventTimeSettings<BoundedDisorder>{});
    Node node;
    node.name = "numbered";
    node.kind = "process";
    node.is_stateful = true;
    node.make_operator = [](OperatorContext& ctx) { return std::make_unique<Numbered>(ctx); };
    const NodeId id = builder->add(std::move(node));
    builder->connect_by_key<Event>(source.events.from(), id, &Event::key);
    Stream<std::string>(builder, {{id, 0}})
        .sink_to("rows", memory_sink(rows_),
                 [](const std::string& row, EventTime, OutputBatch& out) {
                   out.begin_row();
                   out.end_key();
                   out.buffer() += row;
                   out.end_row();
                 });
    return builder->graph();
  }
  PipelineOptions options(int parallelism = 1, std::uint64_t seed = 0) const {
    PipelineOptions o;
    o.backend = GetParam();
    o.parallelism = parallelism;
    o.seed = seed;
    return o;
  }
  static std::vector<std::string> values(const std::vector<MemoryRow>& rows) {
    std::vector<std::string> all;
    for (const MemoryRow& row : rows) all.push_back(row.value);
    return all;
  }

  std::shared_ptr<Script<Event>> script_;
  std::shared_ptr<MemoryRows> rows_ = std::make_shared<MemoryRows>();
};

TEST_P(PipelineHarnessTest, ARestartForgetsNothingAndRepeatsNothing) {
  PipelineHarness harness(graph(1), options());
  script_->batch(0, {{"a", 1}, {"b", 2}});
  harness.run_until_quiet();
  EXPECT_THAT(values(rows_->take_written()), ElementsAre("a1", "b1"));
  harness.restart(3);
  EXPECT_THAT(rows_->take_written(), IsEmpty());
  script_->batch(0, {{"a", 3}});
  harness.run_until_quiet();
  EXPECT_THAT(values(rows_->take_written()), ElementsAre("a2"));
}

TEST_P(PipelineHarnessTest, ACrashGoesBackToTheLastCommittedCheckpoint) {
  PipelineHarness harness(graph(1), options(2, 1));
  script_->batch(0, {{"a", 1}});
  harness.run_until_quiet();
  harness.checkpoint();
  script_->batch(0, {{"a", 2}});
  harness.run_until_quiet();
  harness.crash();
  EXPECT_THAT(values(rows_->committed()), ElementsAre("a1"));
  harness.run_until_quiet();
  // Written twice, committed once.
  EXPECT_THAT(values(rows_->take_written()), ElementsAre("a1", "a2", "a2"));
  harness.checkpoint();
  EXPECT_THAT(values(rows_->committed()), ElementsAre("a1", "a2"));
}

// Steps, checkpoints, crashes and changes of parallelism in a random order: what is committed in
// the end is what one run without any of them writes.
TEST_P(PipelineHarnessTest, RandomCrashesShowInNoCommittedRow) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    rows_ = std::make_shared<MemoryRows>();
    PipelineHarness harness(graph(3), options(2, seed));
    std::mt19937_64 random(seed);
    std::vector<std::string> expected;
    std::vector<std::int64_t> counts(4);
    for (int i = 0; i < 60; ++i) {
      // One input per key, so that the numbers do not depend on the interleaving.
      const std::size_t key = random() % 3;
      const std::string name(1, static_cast<char>('a' + key));
      script_->batch(key, {{name, i}});
      expected.push_back(name + std::to_string(++counts[key]));
      for (std::uint64_t steps = random() % 12; steps > 0; --steps) harness.step();
      if (random() % 8 == 0) harness.checkpoint();
      if (random() % 8 == 0) harness.crash(1 + static_cast<int>(random() % 4));
    }
    script_->end({0, 1, 2});
    harness.run_until_quiet();
    EXPECT_TRUE(harness.has_ended());
    harness.checkpoint();
    EXPECT_THAT(values(rows_->committed()), UnorderedElementsAreArray(expected)) << "seed " << seed;
  }
}

TEST_P(PipelineHarnessTest, WhatHasEndedStaysSo) {
  PipelineHarness harness(graph(2), options());
  script_->batch(0, {{"a", 1}});
  script_->end({0});
  harness.run_until_quiet();
  harness.restart(2);
  script_->batch(1, {{"a", 2}});
  script_->end({1});
  harness.run_until_quiet();
  harness.restart();
  harness.run_until_quiet();
  EXPECT_TRUE(harness.has_ended());
  EXPECT_THAT(values(rows_->take_written()), ElementsAre("a1", "a2"));
}

TEST_P(PipelineHarnessTest, NothingIsAddedToAnInputThatHadEnded) {
  PipelineHarness harness(graph(2), options());
  script_->batch(0, {{"a", 1}});
  script_->end({0});
  harness.run_until_quiet();
  harness.restart();
  script_->batch(0, {{"a", 2}});
  try {
    harness.run_until_quiet();
    FAIL() << "the record was taken";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kRefused);
    EXPECT_THAT(e.what(), ::testing::HasSubstr("p0"));
    EXPECT_THAT(e.what(), ::testing::HasSubstr("--as NAME"));
  }
}

TEST_P(PipelineHarnessTest, WhatAnOperatorThrowsIsThrown) {
  PipelineHarness harness(graph(1), options());
  script_->batch(0, {{"", 1}});
  EXPECT_THROW(harness.run_until_quiet(), Error);
}

INSTANTIATE_TEST_SUITE_P(Backends, PipelineHarnessTest, ::testing::Values("memory", "rocksdb"));

}  // namespace
}  // namespace tidemill::testing
