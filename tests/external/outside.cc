// Counts even and odd numbers in windows of a second.
#include <string>

#include "app/run.h"
#include "connectors/generator/generator.h"
#include "connectors/print/print_sink.h"
#include "operators/aggregates.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"

using namespace tidemill;

void build(Environment& env) {
  const SourceSpec<std::int64_t> numbers{
      "numbers", generator<std::int64_t>(
                     {.count = 2000, .make = [](std::int32_t, std::int64_t i) { return i; }})};
  read_events(
      env.graph(), "numbers", numbers, [](std::int64_t i) { return EventTime{i}; }, 0s)
      .key_by([](std::int64_t i) { return i % 2; })
      .window(Tumbling{.size = 1s})
      .aggregate<Count>("counts")
      .sink_to("stdout", print_sink(), [](const auto& row, EventTime, OutputBatch& out) {
        out.begin_row();
        out.buffer() += std::to_string(row.key) + "@" + std::to_string(row.window.start.ms) + "=" +
                        std::to_string(row.value);
        out.end_row();
      });
}

int main(int argc, char** argv) {
  return run_job(argc, argv,
                 {.name = "outside", .description = "A job outside the tree.", .build = build});
}
