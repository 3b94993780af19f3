// Late records: a window takes them for a while and gives a new row each time; what comes later
// still is a stream of its own.
#include <string>

#include "app/run.h"
#include "connectors/generator/generator.h"
#include "connectors/print/print_sink.h"
#include "operators/aggregates.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"

using namespace tidemill;

struct Reading {
  std::string sensor;
  EventTime at;
};

// A reading a second; every tenth is 15 s old when it comes, every 25th a minute.
Reading make_reading(std::int32_t /*split*/, std::int64_t i) {
  const std::int64_t age = i % 25 == 24 ? 60 : i % 10 == 9 ? 15 : 0;
  return {"s" + std::to_string(i % 2), EventTime{(i - age) * 1000}};
}

void print_line(OutputBatch& out, const std::string& text) {
  out.begin_row();
  out.buffer() += text;
  out.end_row();
}

void build(Environment& env) {
  const SourceSpec<Reading> spec{"readings",
                                 generator<Reading>({.count = 100, .make = make_reading})};
  const auto counts = read_events(env.graph(), "readings", spec, &Reading::at, 2s)
                          .key_by(&Reading::sensor)
                          .window(Tumbling{.size = 10s}, {.allowed_lateness = 20s})
                          .aggregate<Count>("counts");
  counts.sink_to("rows", print_sink(), [](const auto& row, EventTime, OutputBatch& out) {
    print_line(out, row.key + " [" + std::to_string(row.window.start.ms / 1000) + "s) " +
                        std::to_string(row.value));
  });
  counts.late().sink_to(
      "late", print_sink(), [](const Reading& r, EventTime time, OutputBatch& out) {
        print_line(out, "late: " + r.sensor + " of second " + std::to_string(time.ms / 1000));
      });
}

int main(int argc, char** argv) {
  return run_job(argc, argv,
                 {.name = "late_data",
                  .description = "Counts per 10 s; late readings revise them.",
                  .build = build});
}
