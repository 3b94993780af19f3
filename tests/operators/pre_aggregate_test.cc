// What is added up before it is sent: when it is sent, and that no result shows it.
#include "operators/pre_aggregate.h"

#include <algorithm>
#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "connectors/memory/memory_rows.h"
#include "connectors/memory/scripted_source.h"
#include "engine/runtime/stage.h"
#include "operators/aggregates.h"
#include "operators/combined.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"
#include "testing/pipeline_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::PipelineHarness;

struct Event {
  std::string key;
  std::int64_t at = 0;
  int value = 0;
};

// Writes down what a stage sends: "a3@5" is three records of a, "a" one as it came, "W9" a
// watermark.
class Written final : public Outlet {
 public:
  void push(AnyBatch batch) override {
    for (const auto& [row, time] :
         static_cast<Batch<KeyedPartial<std::string, Event, Count>>&>(*batch)) {
      if (!row.record) {
        EXPECT_GE(time.ms, watermark_.ms) << "a sum behind the watermark";
      }
      const std::string number = row.record ? "" : std::to_string(row.content.result());
      all.push_back(row.key + number + "@" + std::to_string(time.ms));
    }
  }
  void push(const Signal& signal) override {
    if (signal.kind == SignalKind::kWatermark) {
      watermark_ = signal.time;
      all.push_back("W" + std::to_string(signal.time.ms));
    } else {
      all.push_back(signal.kind == SignalKind::kBarrier ? "barrier" : "other");
    }
  }
  [[nodiscard]] bool is_blocked() const override { return false; }

  std::vector<std::string> all;

 private:
  EventTime watermark_ = EventTime::min();
};

class PreAggregateTest : public ::testing::Test {
 protected:
  using Added = PreAggregate<Event, Count, std::string Event::*>;

  void build(AlignedWindows windows, SendPartials send) {
    stage_ = std::make_unique<Stage>(
        std::make_unique<OperatorContext>(
            OperatorContext::Place{"partials", 0, 2, key_groups_of(0, 2, kDefaultKeyGroups)},
            resources_, metrics_, clock_, nullptr),
        [=](OperatorContext& ctx) {
          return std::make_unique<Added>(ctx, windows, send, &Event::key);
        });
    stage_->context().ports().at(0)->connect(out_);
  }
  void push(std::initializer_list<std::pair<const char*, std::int64_t>> events) {
    auto batch = std::make_unique<Batch<Event>>();
    for (const auto& [key, at] : events) batch->append({key, at}, EventTime{at});
    stage_->on_batch(0, std::move(batch));
  }
  void watermark(std::int64_t at) { stage_->on_signal(Signal::watermark(EventTime{at})); }
  std::vector<std::string> written() { return std::exchange(out_.all, {}); }

  Resources resources_;
  MetricRegistry metrics_;
  SystemClock clock_;
  Written out_;
  std::unique_ptr<Stage> stage_;
};

constexpr Tumbling kTens{.size = Duration(10)};

TEST_F(PreAggregateTest, IsHeldUntilTheSliceEnds) {
  build(AlignedWindows(kTens), SendPartials::kEachSlice);
  watermark(0);
  push({{"a", 1}, {"a", 3}, {"b", 12}});
  watermark(5);
  push({{"a", 2}});  // behind the watermark, but its window is not over
  watermark(9);
  EXPECT_THAT(written(), ElementsAre("W0", "W5", "W9"));
  watermark(10);
  auto sent = written();
  std::sort(sent.begin(), sent.end() - 1);
  EXPECT_THAT(sent, ElementsAre("a3@9", "b1@12", "W10")) << "before the watermark";
  push({{"a", 4}});
  EXPECT_THAT(written(), ElementsAre("a@4")) << "whether it is late is for others to say";
}

TEST_F(PreAggregateTest, IsSentBeforeABarrierAndAtATick) {
  build(AlignedWindows(kTens), SendPartials::kEachSlice);
  watermark(0);
  push({{"a", 1}, {"a", 1}});
  stage_->on_signal(Signal::barrier(1));
  EXPECT_THAT(written(), ElementsAre("W0", "a2@1", "barrier"));
  push({{"a", 1}, {"a", 1}});
  stage_->tick();
  EXPECT_THAT(written(), ElementsAre("a2@1"));
}

TEST_F(PreAggregateTest, IsSentWithEachBatchOrWatermarkWhereRowsDependOnIt) {
  build(AlignedWindows(kTens), SendPartials::kEachBatch);
  watermark(0);
  push({{"a", 1}, {"a", 1}});
  EXPECT_THAT(written(), ElementsAre("W0", "a2@1"));
  build(AlignedWindows(kTens), SendPartials::kEachWatermark);
  watermark(1);
  push({{"a", 1}, {"a", 2}});
  EXPECT_THAT(written(), ElementsAre("W1"));
  watermark(3);
  EXPECT_THAT(written(), ElementsAre("a2@2", "W3"));
}

TEST_F(PreAggregateTest, WhatFallsInNoWindowGoesOnAsItCame) {
  build(AlignedWindows(Sliding{.size = Duration(3), .slide = Duration(5)}),
        SendPartials::kEachSlice);
  watermark(0);
  push({{"in", 2}, {"out", 3}});
  EXPECT_THAT(written(), ElementsAre("W0", "out@3"));
}

// One job with everything twice, added up before it is sent and not.
class BothWays {
 public:
  explicit BothWays(std::uint64_t seed) : random_(seed) {
    const auto events = read_events(
        graph_, "events", SourceSpec<Event>{"script", read_script(script_, 0, 1)},
        [](const Event& e) { return EventTime{e.at}; }, Duration(0));
    const Sliding layouts[] = {{.size = Duration(10), .slide = Duration(10)},
                               {.size = Duration(12), .slide = Duration(4)},
                               {.size = Duration(3), .slide = Duration(5)}};
    windows(events, layouts[below(3)], Duration(below(2) == 0 ? 0 : 7));
    running(events, below(2) == 0 ? std::nullopt : std::optional(Duration(20)));
  }

  void run() {
    PipelineHarness harness(graph_->graph(),
                            {.parallelism = 1 + below(4), .seed = 1 + random_() % 999});
    std::int64_t now = 0;
    for (int step = 0; step < 40; ++step) {
      now += below(3) == 0 ? below(15) : below(3);
      std::vector<Event> events;
      for (int n = 1 + below(12); n > 0; --n)
        events.push_back({std::string(1, static_cast<char>('a' + below(3))),
                          now - (below(4) == 0 ? below(20) : below(3)), below(1000)});
      script_->batch(0, std::move(events));
      harness.run_until_quiet();
      compare(false);
      if (below(8) == 0) harness.advance(Duration(1));
      if (below(6) == 0) harness.restart(1 + below(4));
    }
    script_->end({0});
    harness.run_until_quiet();
    compare(true);
  }

 private:
  using Content = Combined<Count, Of<&Event::value, Sum<int>>, Of<&Event::value, Last<int>>>;

  int below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }

  static std::string text(const std::string& key, const decltype(Content{}.result()) & content) {
    const auto& [n, sum, last] = content;
    return key + " " + std::to_string(n) + " " + std::to_string(sum) + " " +
           std::to_string(last.value_or(-1));
  }
  template <class T, class Text>
  static void show(const Stream<T>& stream, const std::string& name,
                   const std::shared_ptr<MemoryRows>& rows, Text text_of) {
    stream.sink_to(name, memory_sink(rows),
                   [text_of](const T& row, EventTime time, OutputBatch& out) {
                     out.begin_row();
                     out.end_key();
                     out.buffer() += text_of(row) + "@" + std::to_string(time.ms);
                     out.end_row();
                   });
  }
  void windows(const Stream<Event>& events, const Sliding& layout, Duration lateness) {
    for (std::size_t way = 0; way < 2; ++way) {
      const std::string name = way == 0 ? "added up" : "one by one";
      const auto sums =
          events.key_by(&Event::key)
              .window(layout, {.allowed_lateness = lateness, .pre_aggregates = way == 0})
              .template aggregate<Content>(name);
      show(sums, name + " rows", rows_[way],
           [](const auto& row) { return text(row.key, row.value); });
      show(sums.late(), name + " late", late_[way],
           [](const Event& e) { return e.key + std::to_string(e.value); });
    }
  }
  void running(const Stream<Event>& events, std::optional<Duration> every) {
    for (std::size_t way = 0; way < 2; ++way) {
      const std::string name = way == 0 ? "running added up" : "running one by one";
      show(events.key_by(&Event::key)
               .template aggregate<Content>(name, {.every = every, .pre_aggregates = way == 0}),
           name + " rows", running_[way],
           [](const auto& change) { return text(change.row.key, change.row.value); });
    }
  }

  static std::vector<std::string> taken(MemoryRows& rows) {
    std::vector<std::string> all;
    for (const MemoryRow& row : rows.take_written()) all.push_back(row.value);
    std::sort(all.begin(), all.end());
    return all;
  }
  // The last row of each key: how often there is one depends on batches.
  void take_last(std::size_t way) {
    for (const MemoryRow& row : running_[way]->take_written())
      last_[way][row.value.substr(0, row.value.find(' '))] = row.value;
  }
  void compare(bool at_end) {
    ASSERT_EQ(taken(*rows_[0]), taken(*rows_[1]));
    ASSERT_EQ(taken(*late_[0]), taken(*late_[1]));
    take_last(0);
    take_last(1);
    if (at_end) {
      ASSERT_EQ(last_[0], last_[1]);
    }
  }

  std::mt19937_64 random_;
  std::shared_ptr<Script<Event>> script_ =
      std::make_shared<Script<Event>>(std::vector<std::string>{"p0"});
  std::shared_ptr<GraphBuilder> graph_ = std::make_shared<GraphBuilder>();
  std::vector<std::shared_ptr<MemoryRows>> rows_ = {std::make_shared<MemoryRows>(),
                                                    std::make_shared<MemoryRows>()};
  std::vector<std::shared_ptr<MemoryRows>> late_ = {std::make_shared<MemoryRows>(),
                                                    std::make_shared<MemoryRows>()};
  std::vector<std::shared_ptr<MemoryRows>> running_ = {std::make_shared<MemoryRows>(),
                                                       std::make_shared<MemoryRows>()};
  std::map<std::string, std::string> last_[2];
};

TEST(PreAggregateDifferentialTest, NoResultShowsIt) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    BothWays(seed).run();
    if (::testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace tidemill
