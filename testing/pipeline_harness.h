// Runs a whole graph on one thread: the real tasks, channels, state and checkpoints, stepped in a
// seeded order under a clock that moves only when told to. For tests of jobs and for simulations.
//
//   auto script = std::make_shared<Script<Payment>>(std::vector<std::string>{"p0"});
//   auto rows = std::make_shared<MemoryRows>();
//   … a graph from read_script(script, 0, 1) to memory_sink(rows) …
//   PipelineHarness harness(graph, {.parallelism = 2, .seed = 7});
//   script->batch(0, {…});
//   harness.run_until_quiet();
//   harness.restart(3);
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "connectors/memory/script.h"
#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "engine/graph/graph.h"
#include "engine/time/source_watermarks.h"

namespace tidemill {
class CheckpointStorage;
class Resources;
}  // namespace tidemill

namespace tidemill::testing {

struct PipelineOptions {
  std::string backend = "memory";  // or rocksdb
  int parallelism = 1;
  std::uint64_t seed = 0;  // of the order in which tasks and channels are stepped; 0: round robin
  std::uint32_t key_groups = kDefaultKeyGroups;
  // Read one message at a time, each with all it causes before the next. Without it sources read as
  // fast as they are stepped. Outlives the harness.
  ScriptInputs* turns = nullptr;
  // `advance` stops at each multiple of these, so that what happens by the clock happens in order.
  std::vector<Duration> clock_multiples = {};
  // Lends more to the operators of each attempt.
  std::function<void(Resources&)> lend = {};
};

// One thread. Throws what operators throw; the harness is of no use after that but to be destroyed.
class PipelineHarness {
 public:
  // Starts the job, with its first checkpoint committed. Works in a temporary folder of its own.
  PipelineHarness(Graph graph, PipelineOptions options);
  ~PipelineHarness();
  PipelineHarness(const PipelineHarness&) = delete;
  PipelineHarness& operator=(const PipelineHarness&) = delete;

  // Until all that can be read has been read and everything it causes has happened.
  void run_until_quiet();
  // One task is stepped; false if it had nothing to do. With `turns` nothing new is read.
  bool step();
  // Processing time moves on, stopping wherever something is due; all that causes has happened.
  void advance(Duration by);

  // Takes a checkpoint and commits it.
  void checkpoint();
  // Takes a checkpoint, throws everything away and goes on from it. 0: with as many subtasks as
  // now.
  void restart(int parallelism = 0);
  // Throws everything away and goes on from the last committed checkpoint.
  void crash(int parallelism = 0);

  // Every source and operator has ended.
  [[nodiscard]] bool has_ended() const;
  [[nodiscard]] EventTime now() const { return clock_.processing_time(); }
  [[nodiscard]] MetricRegistry& metrics() { return metrics_; }

 private:
  struct Attempt;

  void start();
  void run_tasks();
  [[nodiscard]] EventTime next_stop(EventTime until) const;
  void hold_event_time(SourceWatermarks::Hold what);

  const Graph graph_;
  PipelineOptions options_;
  std::filesystem::path folder_;
  ManualClock clock_;
  MetricRegistry metrics_;
  std::unique_ptr<CheckpointStorage> storage_;
  std::unique_ptr<Attempt> attempt_;
  std::uint64_t num_attempts_ = 0;
};

}  // namespace tidemill::testing
