// Sessions by key beside the loop one would write by hand: the records of Nexmark's bids (a few
// busy bidders, the rest recently seen ones), and sessions of one record each. CPU time of the
// process; both must give the same rows.
#include <benchmark/benchmark.h>
#include <cstdint>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "bench/cpu_time.h"
#include "bench/operators/batch_source.h"
#include "operators/aggregates.h"
#include "operators/keyed_stream.h"
#include "testing/pipeline_harness.h"

namespace tidemill {
namespace {

constexpr std::int64_t kRecords = 5'000'000;
constexpr Duration kGap{10'000};

struct Bid {
  std::uint64_t bidder;
  EventTime at;
};
using Bids = std::vector<Bid>;

// 100 records a millisecond; a new bidder every 50 records, three quarters by the last hundredth.
const Bids& bids() {
  static const Bids all = [] {
    std::mt19937_64 random(7);
    Bids made;
    for (std::int64_t i = 0; i < kRecords; ++i) {
      const auto newest = static_cast<std::uint64_t>(i / 50 + 1000);
      const std::uint64_t bidder =
          random() % 4 != 0 ? newest / 100 * 100 : newest - random() % 1000;
      made.push_back({bidder, EventTime{i / 100}});
    }
    return made;
  }();
  return all;
}
const Bids& single_bids() {
  static const Bids all = [] {
    Bids made;
    for (std::int64_t i = 0; i < kRecords; ++i)
      made.push_back({static_cast<std::uint64_t>(i), EventTime{i / 100}});
    return made;
  }();
  return all;
}

// The rows, whatever their order.
struct Rows {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  void add(std::uint64_t key, const Window& window, std::int64_t n) {
    ++count;
    sum += ((key * 0x9E3779B97F4A7C15ULL + static_cast<std::uint64_t>(window.end.ms)) ^
            (static_cast<std::uint64_t>(n) << 40)) +
           static_cast<std::uint64_t>(window.start.ms) * 31;
  }
  friend bool operator==(const Rows&, const Rows&) = default;
};

using Row = Windowed<std::uint64_t, std::int64_t>;
class Collect final : public OneInput<Row> {
 public:
  using Out = Row;  // none
  Collect(OperatorContext&, Rows* rows) : rows_(rows) {}
  void process(Batch<Row>& batch) override {
    for (const auto& [row, _] : batch) rows_->add(row.key, row.window, row.value);
  }

 private:
  Rows* const rows_;
};

Rows run_chain(const Bids& input) {
  auto graph = std::make_shared<GraphBuilder>();
  Rows rows;
  read_batches(graph, input)
      .key_by(&Bid::bidder)
      .window(Session{kGap})
      .append_only()
      .aggregate<Count>("sessions")
      .process<Collect>("rows", &rows);
  const testing::PipelineHarness pipeline(graph->graph(), {});
  return rows;
}

Rows run_by_hand(const Bids& input) {
  struct Open {
    Window window;
    std::int64_t n = 0;
  };
  Rows rows;
  boost::unordered_flat_map<std::uint64_t, Open> sessions;
  for (const Bid& bid : input) {
    Open& s = sessions[bid.bidder];
    if (s.n > 0 && bid.at > s.window.end) {
      rows.add(bid.bidder, s.window, s.n);
      s.n = 0;
    }
    if (s.n++ == 0) s.window.start = bid.at;
    s.window.end = bid.at + kGap;
  }
  for (const auto& [key, s] : sessions) rows.add(key, s.window, s.n);
  return rows;
}

template <Rows (*kRun)(const Bids&), const Bids& (*kInput)()>
void session_count(benchmark::State& state) {
  const Bids& input = kInput();
  const Rows wanted = run_by_hand(input);
  double total = 0;
  for (auto _ : state) {
    const double begin = process_cpu_seconds();
    const Rows rows = kRun(input);
    const double seconds = process_cpu_seconds() - begin;
    if (rows != wanted) throw std::runtime_error("the rows differ from the hand loop's");
    state.SetIterationTime(seconds);
    total += seconds;
  }
  state.counters["ns/record"] =
      total * 1e9 / static_cast<double>(kRecords) / static_cast<double>(state.iterations());
}
void measured(benchmark::internal::Benchmark* b) {
  b->UseManualTime()->Iterations(1)->Repetitions(5)->ReportAggregatesOnly();
}
BENCHMARK(session_count<run_by_hand, bids>)->Name("session_count/hand_loop")->Apply(measured);
BENCHMARK(session_count<run_chain, bids>)->Name("session_count/chain")->Apply(measured);
BENCHMARK(session_count<run_by_hand, single_bids>)
    ->Name("sessions_of_one_record/hand_loop")
    ->Apply(measured);
BENCHMARK(session_count<run_chain, single_bids>)
    ->Name("sessions_of_one_record/chain")
    ->Apply(measured);

}  // namespace
}  // namespace tidemill

BENCHMARK_MAIN();
