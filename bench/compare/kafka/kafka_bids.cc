// Nexmark's q0, q1 and q2 from a Kafka topic of JSON bids into a topic of JSON rows, as a user
// would write them; the settings are those of the main job, and `query`.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "app/run.h"
#include "app/source_rate.h"
#include "connectors/formats/json_decode.h"
#include "connectors/formats/json_writer.h"
#include "engine/runtime/source_settings.h"
#include "jobs/feature_pipeline/kafka_endpoints.h"
#include "operators/source.h"

namespace {

using namespace tidemill;

struct JsonBid {
  std::int64_t auction = 0;
  std::int64_t bidder = 0;
  std::int64_t price = 0;
  std::int64_t date_time = 0;  // ms
  std::string extra;
};
BOOST_DESCRIBE_STRUCT(JsonBid, (), (auction, bidder, price, date_time, extra))

JsonFields<JsonBid> fields_of_bid() {
  return {{"auction", &JsonBid::auction},
          {"bidder", &JsonBid::bidder},
          {"price", &JsonBid::price},
          {"dateTime", &JsonBid::date_time},
          {"extra", &JsonBid::extra}};
}

struct WriteBid {
  JsonEncoder<JsonBid> json{fields_of_bid()};

  void operator()(const JsonBid& bid, EventTime at, OutputBatch& out) const {
    out.begin_row();
    out.set_time(at);
    json.encode(bid, out.buffer());
    out.end_row();
  }
};

void write_price(const JsonBid& bid, EventTime at, OutputBatch& out) {
  out.begin_row();
  out.set_time(at);
  JsonWriter(out.buffer())
      .begin_object()
      .field("auction", bid.auction)
      .field("price", bid.price)
      .end_object();
  out.end_row();
}

void build(Environment& env) {
  const std::string query = env.config().choice("query", {"q0", "q1", "q2"});
  const auto time_of = [](const JsonBid& bid) { return EventTime{bid.date_time}; };
  EventTimeSettings<BoundedDisorder> event_time;
  event_time.generator.disorder = 5s;
  const auto [bids, late, bad] =
      add_source<JsonBid>(env.graph(), "bids", features::kafka_events(env), SourceSettings{},
                          JsonDecode<JsonBid>(fields_of_bid()), time_of, event_time);
  const SinkSpec sink = features::kafka_sink(env, env.config().required("sinks.kafka.topic"));
  if (query == "q0") {
    bids.sink_to("rows", sink, WriteBid{});
  } else if (query == "q1") {
    bids.map([](JsonBid bid) {
          bid.price *= 908;
          return bid;
        })
        .sink_to("rows", sink, WriteBid{});
  } else {
    bids.filter([](const JsonBid& bid) { return bid.auction % 123 == 0; })
        .sink_to("rows", sink, write_price);
  }
  features::commit_with_kafka(env, "bids");
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<ConfigKey> keys = features::kafka_keys();
  keys.push_back({"query", "q0", "q0, q1 or q2 of Nexmark"});
  return run_job(argc, argv,
                 {.name = "kafka-bids",
                  .description = "Nexmark's stateless queries, JSON from Kafka to Kafka.",
                  .keys = std::move(keys),
                  .build = build});
}
