// A tumbling count by key in a whole pipeline, source and runtime included, beside the loop one
// would write by hand. CPU time of the process; both must give the same rows.
#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstdint>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "bench/cpu_time.h"
#include "bench/operators/batch_source.h"
#include "operators/aggregates.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"
#include "testing/pipeline_harness.h"

namespace tidemill {
namespace {

constexpr std::int64_t kRecords = 20'000'000;
constexpr Duration kWindow{10'000};

struct Event {
  std::uint64_t key;
  std::int64_t value;
  EventTime at;
};

// 1,000 records a millisecond of event time: two windows.
const std::vector<Event>& events(std::int64_t keys) {
  static std::int64_t made_for = 0;
  static std::vector<Event> all;
  if (std::exchange(made_for, keys) == keys) return all;
  std::mt19937_64 random(7);
  all.clear();
  for (std::int64_t i = 0; i < kRecords; ++i) {
    all.push_back({random() % static_cast<std::uint64_t>(keys),
                   static_cast<std::int64_t>(random() % 1000), EventTime{i / 1000}});
  }
  return all;
}

// What both do to a record: map to what is counted, keep nearly all of them.
struct Click {
  std::uint64_t key;
  std::int64_t price;
};
constexpr auto kToClick = [](const Event& e) { return Click{e.key, e.value * 3}; };
constexpr auto kIsKept = [](const Click& c) { return c.price != 2997; };

// The rows, whatever their order.
struct Rows {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  void add(std::uint64_t key, EventTime end, std::int64_t n) {
    ++count;
    sum += (key * 0x9E3779B97F4A7C15ULL + static_cast<std::uint64_t>(end.ms)) ^
           (static_cast<std::uint64_t>(n) << 40);
  }
  friend bool operator==(const Rows&, const Rows&) = default;
};

class Reader final : public SourceReader<Event> {
 public:
  explicit Reader(const std::vector<Event>& events) : events_(events) {
    SplitStatus split;
    split.name = split.source = "memory";
    splits_.push_back(std::move(split));
  }
  void poll(SourceBatch<Event>& out, std::size_t max_records) override {
    SplitStatus& split = splits_[0];
    auto at = static_cast<std::size_t>(split.next_offset);
    const std::size_t end = std::min(events_.size(), at + max_records);
    for (; at < end; ++at)
      out.append(events_[at], {0, 0, static_cast<std::int64_t>(at), EventTime::min()});
    split.next_offset = static_cast<std::int64_t>(end);
    if (end == events_.size()) split.state = SplitState::kFinished;
  }
  [[nodiscard]] std::vector<SplitStatus>& splits() override { return splits_; }

 private:
  const std::vector<Event>& events_;
  std::vector<SplitStatus> splits_;
};

class Collect final : public OneInput<Windowed<std::uint64_t, std::int64_t>> {
 public:
  using Out = Click;  // none
  Collect(OperatorContext&, Rows* rows) : rows_(rows) {}
  void process(Batch<Windowed<std::uint64_t, std::int64_t>>& batch) override {
    for (const auto& [row, _] : batch) rows_->add(row.key, row.window.end, row.value);
  }

 private:
  Rows* const rows_;
};

Rows run_chain(const std::shared_ptr<GraphBuilder>& graph, const Stream<Event>& events) {
  Rows rows;
  events.map(kToClick)
      .filter(kIsKept)
      .key_by(&Click::key)
      .window(Tumbling{.size = kWindow})
      .aggregate<Count>("counts")
      .process<Collect>("rows", &rows);
  const testing::PipelineHarness pipeline(graph->graph(), {});
  return rows;
}

Rows run_pipeline(const std::vector<Event>& input) {
  auto graph = std::make_shared<GraphBuilder>();
  const SourceSpec<Event> source{"memory",
                                 [&](OperatorContext&, const std::vector<SplitPosition>&) {
                                   return std::make_unique<Reader>(input);
                                 }};
  return run_chain(graph, read_events(graph, "events", source, &Event::at, Duration::zero()));
}

Rows run_from_batches(const std::vector<Event>& input) {
  auto graph = std::make_shared<GraphBuilder>();
  return run_chain(graph, read_batches(graph, input));
}

Rows run_by_hand(const std::vector<Event>& input) {
  Rows rows;
  boost::unordered_flat_map<std::uint64_t, std::int64_t> counts;
  std::int64_t window = 0;
  const auto close = [&] {
    for (const auto& [key, n] : counts) rows.add(key, EventTime{(window + 1) * kWindow.count()}, n);
    counts.clear();
  };
  for (const Event& e : input) {
    const Click click = kToClick(e);
    if (!kIsKept(click)) continue;
    if (const std::int64_t w = e.at.ms / kWindow.count(); w != window) {
      close();
      window = w;
    }
    ++counts[click.key];
  }
  close();
  return rows;
}

// So many queries of one stream, each with a window of its own.
void concurrent_counts(benchmark::State& state) {
  const auto queries = static_cast<std::size_t>(state.range(1));
  const std::vector<Event>& all = events(state.range(0));
  const std::vector<Event> input(all.begin(), all.begin() + kRecords / 10);
  const Rows wanted = run_by_hand(input);
  double total = 0;
  for (auto _ : state) {
    auto graph = std::make_shared<GraphBuilder>();
    std::vector<Rows> rows(queries);
    const auto clicks =
        read_batches(graph, input).map(kToClick).filter(kIsKept).key_by(&Click::key);
    for (std::size_t q = 0; q < queries; ++q) {
      const std::string number = std::to_string(q);
      clicks.window(Tumbling{.size = kWindow})
          .aggregate<Count>("counts" + number)
          .process<Collect>("rows" + number, &rows[q]);
    }
    const double begin = process_cpu_seconds();
    const testing::PipelineHarness pipeline(graph->graph(), {});
    const double seconds = process_cpu_seconds() - begin;
    if (std::any_of(rows.begin(), rows.end(), [&](const Rows& r) { return r != wanted; }))
      throw std::runtime_error("the rows differ from the hand loop's");
    state.SetIterationTime(seconds);
    total += seconds;
  }
  state.counters["ns/record"] =
      total * 1e9 / static_cast<double>(input.size()) / static_cast<double>(state.iterations());
}

template <Rows (*kRun)(const std::vector<Event>&)>
void tumbling_count(benchmark::State& state) {
  const std::vector<Event>& input = events(state.range(0));
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
  b->Arg(100'000)->UseManualTime()->Iterations(1)->Repetitions(5)->ReportAggregatesOnly();
}
BENCHMARK(tumbling_count<run_by_hand>)->Name("tumbling_count/hand_loop")->Apply(measured);
BENCHMARK(tumbling_count<run_from_batches>)->Name("tumbling_count/chain")->Apply(measured);
BENCHMARK(tumbling_count<run_pipeline>)->Name("tumbling_count/source_and_chain")->Apply(measured);
BENCHMARK(concurrent_counts)
    ->ArgsProduct({{100, 10'000}, {1, 10, 100}})
    ->UseManualTime()
    ->Iterations(1);

}  // namespace
}  // namespace tidemill

BENCHMARK_MAIN();
