#include "tests/simulation/simulation.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "connectors/memory/memory_rows.h"
#include "connectors/memory/scripted_source.h"
#include "operators/aggregates.h"
#include "operators/combined.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"
#include "operators/trailing_window.h"
#include "testing/pipeline_harness.h"
#include "tests/simulation/oracle.h"

namespace tidemill::simulation {
namespace {

struct Input {
  Event event;
  void describe(RejectedRecord& record) const {
    record.partition = event.partition;
    record.offset = event.offset;
  }
};

struct KeyOf {
  std::int64_t operator()(const Input& in) const { return in.event.key; }
};
struct OrderOf {
  TieOrder operator()(const Input& in) const { return {in.event.partition, in.event.offset}; }
};
struct ValueOf {
  std::int64_t operator()(const Input& in) const { return in.event.value; }
};

using SumOfValues = Of<ValueOf{}, Sum<std::int64_t>>;
using Windows = AlignedWindow<Input, SumOfValues, KeyOf>;
using Trailings = TrailingWindow<Input, Count, KeyOf, OrderOf>;

void put(OutputBatch& out, EventTime time, const std::string& row) {
  out.begin_row();
  out.buffer() += "row";
  out.end_key();
  out.set_time(time);
  out.buffer() += row;
  out.end_row();
}

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : seed_(seed), random_(seed) {
    rules_.disorder = Duration(below(3) * 2000);
    rules_.lateness = Duration(below(2) * 5000);
    rules_.slide = Duration(5000);
    rules_.size = Duration(5000 * (1 + below(3)));
    rules_.trailing = {{Duration(10'000), Duration(1000)}, {Duration(60'000), Duration(7000)}};
    make_input();
  }

  Verdict run() {
    std::vector<std::string> names;
    for (std::size_t p = 0; p < input_.size(); ++p) names.push_back("p" + std::to_string(p));
    script_ = std::make_shared<Script<Input>>(names);
    testing::PipelineHarness harness(graph(), {.backend = below(8) == 0 ? "rocksdb" : "memory",
                                               .parallelism = 1 + static_cast<int>(below(4)),
                                               .seed = 1 + random_() % 1'000'000});
    deliver(harness);
    std::vector<std::size_t> all(input_.size());
    for (std::size_t p = 0; p < all.size(); ++p) all[p] = p;
    script_->end(all);
    disturb(harness);
    harness.run_until_quiet();
    harness.checkpoint();
    return judge();
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  void make_input() {
    input_.resize(1 + below(4));
    const std::uint64_t keys = 1 + below(6);
    for (std::size_t p = 0; p < input_.size(); ++p) {
      std::int64_t now = static_cast<std::int64_t>(below(20'000));
      const std::uint64_t events = 20 + below(80);
      for (std::uint64_t i = 0; i < events; ++i) {
        now += static_cast<std::int64_t>(below(10) == 0 ? below(30'000) : below(2000));
        const auto back = static_cast<std::int64_t>(
            below(12) == 0 ? below(20'000)
                           : below(static_cast<std::uint64_t>(rules_.disorder.count()) + 1));
        input_[p].push_back({static_cast<std::int64_t>(below(keys)),
                             static_cast<std::int64_t>(below(100)),
                             {now - back},
                             static_cast<std::int32_t>(p),
                             static_cast<std::int64_t>(i)});
      }
    }
  }

  Graph graph() {
    auto builder = std::make_shared<GraphBuilder>();
    SourceSettings settings;
    settings.lateness = rules_.lateness;
    auto source = add_source<Input>(
        builder, "events", SourceSpec<Input>{"script", read_script(script_, 0, input_.size())},
        settings,
        [](const Input& in, const Origin&, Input& out, Rejection&) {
          out = in;
          return true;
        },
        [](const Input& in) { return in.event.time; },
        EventTimeSettings<BoundedDisorder>{.generator = {.disorder = rules_.disorder}});
    source.late.sink_to("late", memory_sink(late_),
                        [](const RejectedRecord& r, EventTime time, OutputBatch& out) {
                          put(out, time, late_row(r.partition, r.offset));
                        });
    if (rules_.lateness == Duration::zero()) {
      source.events.key_by(KeyOf{})
          .window(Sliding{rules_.size, rules_.slide})
          .template aggregate<SumOfValues>("sums")
          .sink_to("windows", memory_sink(windows_),
                   [](const Windows::Out& row, EventTime time, OutputBatch& out) {
                     put(out, time,
                         window_row(row.key, row.window.start, row.window.end, row.value));
                   });
    }
    std::vector<Trailing> windows;
    for (const auto& [size, resolution] : rules_.trailing) windows.push_back({size, resolution});
    source.events.key_by(KeyOf{})
        .template process<Trailings>("trailing", windows,
                                     TrailingOptions{.emit = TrailingEmit::kOnWatermark,
                                                     .lateness = rules_.lateness,
                                                     .firing_budget = 4},
                                     KeyOf{}, OrderOf{})
        .sink_to("features", memory_sink(features_),
                 [](const Trailings::Out& row, EventTime time, OutputBatch& out) {
                   put(out, time,
                       trailing_row(row.key, row.at, {row.results.begin(), row.results.end()}));
                 });
    return builder->graph();
  }

  // Hands the partitions out in random pieces, with something happening in between.
  void deliver(testing::PipelineHarness& harness) {
    std::vector<std::size_t> next(input_.size(), 0);
    while (true) {
      std::vector<std::size_t> open;
      for (std::size_t p = 0; p < input_.size(); ++p) {
        if (next[p] < input_[p].size()) open.push_back(p);
      }
      if (open.empty()) return;
      const std::size_t p = open[below(open.size())];
      const std::size_t end = std::min<std::size_t>(input_[p].size(), next[p] + 1 + below(12));
      std::vector<Input> batch;
      for (; next[p] < end; ++next[p]) batch.push_back({input_[p][next[p]]});
      script_->batch(p, std::move(batch));
      disturb(harness);
    }
  }

  void disturb(testing::PipelineHarness& harness) {
    for (std::uint64_t steps = below(30); steps > 0; --steps) harness.step();
    const auto parallelism = 1 + static_cast<int>(below(4));
    switch (below(12)) {
      case 0: harness.crash(parallelism); break;
      case 1: harness.restart(parallelism); break;
      case 2:
      case 3: harness.checkpoint(); break;
      default: break;
    }
  }

  Verdict judge() {
    Rows got;
    for (const auto& rows : {late_, windows_, features_}) {
      for (const MemoryRow& row : rows->committed()) got.insert(row.value);
    }
    const Rows wanted = expected(input_, rules_);
    if (got == wanted) return {true, ""};
    std::vector<std::string> missing;
    std::vector<std::string> extra;
    std::set_difference(wanted.begin(), wanted.end(), got.begin(), got.end(),
                        std::back_inserter(missing));
    std::set_difference(got.begin(), got.end(), wanted.begin(), wanted.end(),
                        std::back_inserter(extra));
    std::string text = "seed " + std::to_string(seed_) + ": " + std::to_string(missing.size()) +
                       " rows missing, " + std::to_string(extra.size()) + " unexpected";
    for (std::size_t i = 0; i < missing.size() && i < 5; ++i) text += "\n- " + missing[i];
    for (std::size_t i = 0; i < extra.size() && i < 5; ++i) text += "\n+ " + extra[i];
    return {false, text};
  }

  const std::uint64_t seed_;
  std::mt19937_64 random_;
  Rules rules_;
  std::vector<std::vector<Event>> input_;
  std::shared_ptr<Script<Input>> script_;
  std::shared_ptr<MemoryRows> late_ = std::make_shared<MemoryRows>();
  std::shared_ptr<MemoryRows> windows_ = std::make_shared<MemoryRows>();
  std::shared_ptr<MemoryRows> features_ = std::make_shared<MemoryRows>();
};

}  // namespace

Verdict run(std::uint64_t seed) { return Simulation(seed).run(); }

}  // namespace tidemill::simulation
