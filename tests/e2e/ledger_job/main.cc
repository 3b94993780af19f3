// Copies every input record with its place, its key's running count and running sum: the smallest
// job whose output shows each loss, each repetition and each skew between state and offsets. In
// three versions, which differ in what they keep of a key.
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <boost/describe.hpp>

#include "app/run.h"
#include "connectors/formats/json_decode.h"
#include "connectors/formats/json_writer.h"
#include "jobs/feature_pipeline/kafka_endpoints.h"
#include "jobs/feature_pipeline/settings.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"
#include "state/keyed_value.h"

namespace {

using namespace tidemill;

struct Entry {
  std::string key;
  double value = 0;
  EventTime time{};
  std::int32_t partition = 0;
  std::int64_t offset = 0;
};

struct Balance {
  std::int64_t n = 0;
  double sum = 0;  // of whole numbers: exact
  BOOST_DESCRIBE_CLASS(Balance, (), (n, sum), (), ())
};

// Of a later version, which has an added field.
struct LongerBalance {
  std::int64_t n = 0;
  double sum = 0;
  std::int32_t since_upgrade = 0;
  BOOST_DESCRIBE_CLASS(LongerBalance, (), (n, sum, since_upgrade), (), ())
};
// Of one that cannot go on from the others' state.
struct TextBalance {
  std::string n;
  double sum = 0;
  BOOST_DESCRIBE_CLASS(TextBalance, (), (n, sum), (), ())
};
#ifndef TIDEMILL_LEDGER_BALANCE
#define TIDEMILL_LEDGER_BALANCE Balance
#endif
using KeptBalance = TIDEMILL_LEDGER_BALANCE;

struct Row {
  Entry entry;
  std::int64_t n = 0;
  double sum = 0;
  std::int64_t since_upgrade = 0;
  std::string_view attempt;  // lives as long as the attempt
};

[[maybe_unused]] Row added(Balance& balance, const Entry& entry) {
  return {entry, ++balance.n, balance.sum += entry.value, 0, {}};
}
[[maybe_unused]] Row added(LongerBalance& balance, const Entry& entry) {
  return {entry, ++balance.n, balance.sum += entry.value, ++balance.since_upgrade, {}};
}
[[maybe_unused]] Row added(TextBalance& balance, const Entry& entry) {
  balance.n += '|';
  return {entry, static_cast<std::int64_t>(balance.n.size()), balance.sum += entry.value, 0, {}};
}

class RunningBalance final : public OneInput<Entry> {
 public:
  using Out = Row;

  explicit RunningBalance(OperatorContext& ctx)
      : balances_(ctx, "balances"),
        out_(ctx.output<Row>(0)),
        attempt_(ctx.resources().get<AttemptInfo>().id) {}

  void process(Batch<Entry>& batch) override {
    for (auto& [entry, time] : batch) {
      Row row = added(balances_[entry.key], entry);
      row.attempt = attempt_;
      out_.emit(std::move(row), time);
    }
  }

 private:
  KeyedValue<std::string, KeptBalance> balances_;
  Emitter<Row>& out_;
  const std::string_view attempt_;
};

struct RowJson {
  void operator()(const Row& row, EventTime time, OutputBatch& out) const {
    out.begin_row();
    out.buffer() += row.entry.key;
    out.end_key();
    out.set_time(time);
    JsonWriter json(out.buffer());
    json.begin_object()
        .field("p", static_cast<std::int64_t>(row.entry.partition))
        .field("o", row.entry.offset)
        .field("key", row.entry.key)
        .field("n", row.n)
        .field("sum", row.sum)
        .field("epoch", std::to_string(out.epoch()) + "-" + std::string(row.attempt));
    if constexpr (std::is_same_v<KeptBalance, LongerBalance>)
      json.field("since_upgrade", row.since_upgrade);
    json.end_object();
    out.end_row();
  }
};

void build(Environment& env) {
  const JsonFields<Entry> fields{
      {"user_id", &Entry::key}, {"value", &Entry::value}, {"timestamp", &Entry::time}};
  SourceSettings settings;
  settings.idle = Duration(30000);
  auto input = add_source<Entry>(
      env.graph(), "user_events", features::kafka_events(env), settings, JsonDecode<Entry>(fields),
      [](const Entry& e) { return e.time; },
      EventTimeSettings<BoundedDisorder>{.generator = {.disorder = Duration(5000)}});
  input.events.key_by(&Entry::key)
      .process<RunningBalance>("balances")
      .sink_to("rows_to_kafka",
               features::kafka_sink(env, env.config().required("sinks.kafka.topic")), RowJson{});
  features::commit_with_kafka_if_used(env);
}

}  // namespace

int main(int argc, char** argv) {
  return run_job(argc, argv,
                 {.name = "ledger",
                  .description = "Copies records with their key's running count and sum (a test).",
                  .keys = features::keys(),
                  .build = build});
}
