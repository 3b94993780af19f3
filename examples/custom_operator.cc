// An operator of one's own: alerts when one card is used in two countries less than an hour apart.
#include <string>

#include "app/run.h"
#include "connectors/generator/generator.h"
#include "connectors/print/print_sink.h"
#include "examples/impossible_travel.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"

using namespace tidemill;
using namespace tidemill::examples;

Payment make_payment(std::int32_t /*split*/, std::int64_t i) {
  const char* const country = i % 7 == 0 ? "SE" : "DE";
  return {"card-" + std::to_string(i % 5), country, EventTime{i * 600'000}};
}

struct Print {
  void operator()(const Alert& alert, EventTime time, OutputBatch& out) const {
    out.begin_row();
    out.buffer() += alert.card + " " + alert.from + " -> " + alert.to + " at minute " +
                    std::to_string(time.ms / 60'000);
    out.end_row();
  }
};

void build(Environment& env) {
  const SourceSpec<Payment> payments{"payments",
                                     generator<Payment>({.count = 100, .make = make_payment})};
  read_events(env.graph(), "payments", payments, &Payment::at, 0s)
      .key_by(&Payment::card)
      .process<ImpossibleTravel>("impossible_travel", Duration(1h))
      .sink_to("stdout", print_sink(), Print{});
}

int main(int argc, char** argv) {
  return run_job(argc, argv,
                 {.name = "custom_operator",
                  .description = "Cards used in two countries within an hour.",
                  .build = build});
}
