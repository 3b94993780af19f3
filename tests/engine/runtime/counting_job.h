// A job of two operators for tests of the runtime: a script of numbers, summed by their last digit.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "connectors/memory/memory_rows.h"
#include "connectors/memory/scripted_source.h"
#include "engine/graph/plan.h"
#include "engine/operator/back_pressure.h"
#include "engine/runtime/job.h"
#include "engine/runtime/source_stage.h"
#include "engine/time/source_registry.h"
#include "operators/source.h"
#include "operators/stream.h"

namespace tidemill::testing {

// Gives out each number again, with the number of those seen before it in this subtask as event
// time.
class CountSeen final : public OneInput<std::int64_t> {
 public:
  explicit CountSeen(OperatorContext& ctx) : out_(ctx.output<std::int64_t>(0)) {}
  void process(Batch<std::int64_t>& batch) override {
    for (const auto& record : batch) {
      if (record.value < 0) throw Error(ErrorCode::kUser, "a negative number");
      out_.emit(record.value, record.time);
    }
  }

 private:
  Emitter<std::int64_t>& out_;
};

struct Memory final : BackPressure {
  std::atomic<bool> is_short = false;
  [[nodiscard]] bool is_exhausted() const override { return is_short; }
};

class CountingJob {
 public:
  // `hold` may be null and outlives it.
  CountingJob(std::size_t inputs, int parallelism, SourceHold* hold = nullptr) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < inputs; ++i) names.push_back("p" + std::to_string(i));
    script = std::make_shared<Script<std::int64_t>>(names);
    rows = std::make_shared<MemoryRows>();
    resources_.lend(control);
    resources_.lend(sources_);
    if (hold != nullptr) resources_.lend(*hold);
    resources_.lend<BackPressure>(memory);
    control.released = true;
    auto graph = std::make_shared<GraphBuilder>();
    const auto source = add_source<std::int64_t>(
        graph, "numbers", SourceSpec<std::int64_t>{"script", read_script(script, 0, inputs)},
        SourceSettings{},
        [](std::int64_t raw, const Origin&, std::int64_t& out, Rejection&) {
          out = raw;
          return true;
        },
        [](std::int64_t n) { return EventTime{n}; }, EventTimeSettings<BoundedDisorder>{});
    Node node;
    node.name = "count";
    node.kind = "count";
    node.make_operator = [](OperatorContext& ctx) { return std::make_unique<CountSeen>(ctx); };
    const NodeId id = graph->add(std::move(node));
    graph->connect_by_key<std::int64_t>(source.events.from(), id,
                                        [](std::int64_t n) { return n % 10; });
    Stream<std::int64_t>(graph, {{id, 0}})
        .sink_to("rows", memory_sink(rows), [](std::int64_t n, EventTime time, OutputBatch& out) {
          out.begin_row();
          out.end_key();
          out.buffer() += std::to_string(n);
          out.set_time(time);
          out.end_row();
        });
    plan_ = make_plan(graph->graph(), parallelism);
    job = std::make_unique<Job>(plan_, nullptr, resources_, metrics_, clock_,
                                [this](TaskSnapshot snapshot) {
                                  const std::lock_guard lock(mutex_);
                                  acknowledged_.push_back(std::move(snapshot));
                                });
  }

  [[nodiscard]] std::size_t num_acknowledged() {
    const std::lock_guard lock(mutex_);
    return acknowledged_.size();
  }
  std::vector<TaskSnapshot> take_acknowledged() {
    const std::lock_guard lock(mutex_);
    return std::exchange(acknowledged_, {});
  }

  std::shared_ptr<Script<std::int64_t>> script;
  std::shared_ptr<MemoryRows> rows;
  SourceControl control;
  Memory memory;

 private:
  Resources resources_;
  SourceRegistry sources_;
  MetricRegistry metrics_;
  SystemClock clock_;
  Plan plan_;
  std::mutex mutex_;
  std::vector<TaskSnapshot> acknowledged_;

 public:
  std::unique_ptr<Job> job;  // last: it goes first
};

}  // namespace tidemill::testing
