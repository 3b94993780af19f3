// A test of an operator and of a job of one's own, against the installed package.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "connectors/memory/memory_rows.h"
#include "connectors/memory/scripted_source.h"
#include "operators/aggregates.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"
#include "state/keyed_value.h"
#include "testing/operator_harness.h"
#include "testing/pipeline_harness.h"

using namespace tidemill;

// How many numbers of the same parity came so far.
class Numbered final : public OneInput<std::int64_t> {
 public:
  using Out = std::int64_t;
  explicit Numbered(OperatorContext& ctx)
      : counts_(ctx, "counts"), out_(ctx.output<std::int64_t>(0)) {}
  void process(Batch<std::int64_t>& batch) override {
    for (const auto& [number, time] : batch) out_.emit(++counts_[number % 2], time);
  }

 private:
  KeyedValue<std::int64_t, std::int64_t> counts_;
  Emitter<std::int64_t>& out_;
};

void expect(bool holds, const std::string& what) {
  if (holds) return;
  std::cerr << "FAILED: " << what << "\n";
  std::exit(1);
}

int main() {
  testing::OperatorHarness::run(
      [](OperatorContext& ctx) { return std::make_unique<Numbered>(ctx); },
      [](testing::OperatorHarness& harness) {
        harness.push<std::int64_t>({{4, EventTime{1}}, {6, EventTime{2}}});
        harness.push<std::int64_t>({{3, EventTime{3}}, {8, EventTime{4}}});
        const auto out = harness.drain<std::int64_t>();
        expect(out.size() == 4 && out[1].value == 2 && out[2].value == 1 && out[3].value == 3,
               "counts go on: " + harness.mode());
      });

  auto script = std::make_shared<Script<std::int64_t>>(std::vector<std::string>{"p0"});
  auto rows = std::make_shared<MemoryRows>();
  auto graph = std::make_shared<GraphBuilder>();
  read_events(
      graph, "numbers", SourceSpec<std::int64_t>{"script", read_script(script, 0, 1)},
      [](std::int64_t i) { return EventTime{i}; }, 0s)
      .key_by([](std::int64_t i) { return i % 2; })
      .window(Tumbling{.size = Duration(10)})
      .aggregate<Count>("counts")
      .sink_to("rows", memory_sink(rows), [](const auto& row, EventTime, OutputBatch& out) {
        out.begin_row();
        out.buffer() += std::to_string(row.key) + "=" + std::to_string(row.value);
        out.end_row();
      });
  testing::PipelineHarness harness(graph->graph(), {.parallelism = 2, .seed = 7});
  script->batch(0, {1, 2, 3});
  harness.run_until_quiet();
  harness.restart(3);
  script->batch(0, {5, 12});
  harness.run_until_quiet();
  std::string seen;
  for (const MemoryRow& row : rows->take_written()) seen += row.value + " ";
  expect(seen == "0=1 1=3 " || seen == "1=3 0=1 ", "rows of the first window: " + seen);
  std::cout << "passed\n";
}
