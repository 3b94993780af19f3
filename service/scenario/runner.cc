#include "service/scenario/runner.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "service/scenario/pipeline.h"
#include "testing/pipeline_harness.h"

namespace tidemill::scenario {
namespace {

using testing::PipelineHarness;
using testing::PipelineOptions;

class Run {
 public:
  Run(const Scenario& scenario, const RunSettings& settings)
      : script_(std::make_shared<Script<ScenarioRecord>>(scenario.inputs)),
        rows_(std::make_shared<MemoryRows>()),
        records_of_(scenario.inputs.size(), 0),
        harness_(build_graph(scenario, script_, rows_, settings.seed % kBudgets),
                 options(scenario, settings)) {}

  std::vector<std::string> step(const Step& step) {
    act(step);
    harness_.run_until_quiet();
    std::vector<std::string> rows;
    for (MemoryRow& row : rows_->take_written()) rows.push_back(std::move(row.value));
    std::ranges::sort(rows);
    return rows;
  }

  void restart() { harness_.restart(); }

 private:
  static constexpr std::uint64_t kBudgets = 4;  // firings of 1, 2, 3 rows, or all

  PipelineOptions options(const Scenario& scenario, const RunSettings& settings) const {
    PipelineOptions o;
    o.backend = settings.backend;
    o.parallelism = settings.parallelism > 0
                        ? settings.parallelism
                        : static_cast<int>(scenario.stages.front().count("parallelism", 1));
    o.seed = settings.seed;
    o.turns = script_.get();
    for (const StageSpec& stage : scenario.stages) {
      if (const auto every = stage.duration("early_processing"))
        o.clock_multiples.push_back(*every);
    }
    return o;
  }

  void act(const Step& step) {
    switch (step.verb) {
      case Verb::kIn: give(step); return;
      case Verb::kWatermark: script_->watermark(step.inputs, step.time); return;
      case Verb::kIdle: script_->idle(step.inputs.front()); return;
      case Verb::kActive: script_->active(step.inputs.front()); return;
      case Verb::kPause: script_->pause(step.inputs.front()); return;
      case Verb::kResume: script_->resume(step.inputs.front()); return;
      case Verb::kAdvance: harness_.advance(step.duration); return;
      case Verb::kRestart: harness_.restart(step.parallelism); return;
      case Verb::kEnd: script_->end(step.inputs); return;
    }
  }

  void give(const Step& step) {
    const std::size_t input = step.inputs.front();
    std::vector<ScenarioRecord> records;
    for (const GivenRecord& given : step.records) {
      const TieOrder place{static_cast<std::int32_t>(input), records_of_[input]++};
      records.push_back(make_record(given.key, given.time, given.value, place));
    }
    script_->batch(input, std::move(records));
  }

  const std::shared_ptr<Script<ScenarioRecord>> script_;  // shared with the job's readers
  const std::shared_ptr<MemoryRows> rows_;                // shared with its sinks
  std::vector<std::int64_t> records_of_;                  // by input
  PipelineHarness harness_;
};

// What `a` has more of than `b`; both sorted.
std::vector<std::string> without(const std::vector<std::string>& a,
                                 const std::vector<std::string>& b) {
  std::vector<std::string> rest;
  std::ranges::set_difference(a, b, std::back_inserter(rest));
  return rest;
}

}  // namespace

std::vector<std::vector<std::string>> run(const Scenario& scenario, const RunSettings& settings) {
  Run run(scenario, settings);
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < scenario.steps.size(); ++i) {
    if (settings.restart_everywhere && i > 0) run.restart();
    rows.push_back(run.step(scenario.steps[i]));
  }
  return rows;
}

std::vector<Difference> differences(const Scenario& scenario, const RunSettings& settings) {
  const auto rows = run(scenario, settings);
  std::vector<Difference> found;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Step& step = scenario.steps[i];
    std::vector<std::string> expected = step.rows;
    std::ranges::sort(expected);
    Difference d{step.line, step.text, without(expected, rows[i]), without(rows[i], expected)};
    if (!d.missing.empty() || !d.unexpected.empty()) found.push_back(std::move(d));
  }
  return found;
}

}  // namespace tidemill::scenario
