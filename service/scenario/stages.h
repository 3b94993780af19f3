// The operators of a scenario's stages.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/aggregates.h"
#include "operators/collections.h"
#include "operators/combined.h"
#include "operators/stream.h"
#include "operators/window.h"
#include "service/scenario/record.h"
#include "service/scenario/scenario.h"

namespace tidemill::scenario {

// How one stage stands in its pipeline.
struct StagePlace {
  bool is_first = true;
  bool is_only = true;
  // Rows or timers after which a firing lets other messages pass; none: all at once. No result
  // shows it.
  std::size_t firing_budget = 0;
};

// Where a stage is being added.
struct StageSite {
  std::shared_ptr<GraphBuilder> graph;
  const StageSpec& spec;
  StagePlace place;
  std::string name;
  std::vector<Stream<ScenarioRecord>> inputs;  // one, or left and right

  NodeId add(MakeOperator make, int parallelism = 0) const;
  // The same by key.
  NodeId add_by_key(MakeOperator make) const;
  template <class T>
  Stream<T> port(NodeId node, std::size_t number) const {
    return {graph, {{node, number}}};
  }
};

// What a stage gives out: what it causes within a step in one batch, and the late rows as they are
// shown.
struct StageRows {
  Stream<ResultRow> rows;
  std::vector<Stream<std::string>> late = {};
};

// A late record of the only input, as it is shown.
std::string text_of_late(const ScenarioRecord& record);
// KEY[START,END)=RESULT
ResultRow row_of_window(const WindowRow& row);

// Lateness and emission, as the parameters have it.
WindowOptions window_options(const StageSpec& spec, const StagePlace& place);

// One for each kind of stage.
StageRows add_window_stage(const StageSite& site);  // tumbling, sliding
StageRows add_session_stage(const StageSite& site);
StageRows add_global_stage(const StageSite& site);
StageRows add_trailing_stage(const StageSite& site);
StageRows add_watermarks_stage(const StageSite& site);
StageRows add_window_join_stage(const StageSite& site);
StageRows add_interval_join_stage(const StageSite& site);
StageRows add_asof_join_stage(const StageSite& site);
StageRows add_dedup_stage(const StageSite& site);
StageRows add_topn_stage(const StageSite& site);
StageRows add_timers_stage(const StageSite& site);

// All aggregates at once, of which a stage shows one: an operator is compiled once for all that can
// take a slice out again and once for those that cannot, not eleven times.
constexpr auto kNumberOf = &ScenarioRecord::number;
constexpr auto kValueOf = &ScenarioRecord::value;
using EvictingAggregates = Combined<Count, Of<kNumberOf, Sum<double>>, Of<kNumberOf, Mean<double>>,
                                    Of<kNumberOf, Variance<double>>, Of<kValueOf, Last<Value>>,
                                    Of<kValueOf, Distinct<Value>>, Of<kValueOf, Collect<Value>>>;
// The greatest are cut to N in the row.
using MergingAggregates =
    Combined<Of<kNumberOf, Min<double>>, Of<kNumberOf, Max<double>>, Of<kValueOf, First<Value>>,
             Of<kNumberOf, TopN<double, std::numeric_limits<std::size_t>::max()>>>;
static_assert(Evictable<EvictingAggregates> && !Evictable<MergingAggregates>);

// From the accumulators to what a row shows.
struct ToValue {
  Aggregate shown{};
  std::size_t top = 0;

  Value operator()(const EvictingAggregates& all) const {
    switch (shown) {
      case Aggregate::kCount: return part<0>(all);
      case Aggregate::kSum: return part<1>(all);
      case Aggregate::kMean: return part<2>(all);
      case Aggregate::kVariance: return part<3>(all);
      case Aggregate::kLast: return part<4>(all);
      case Aggregate::kDistinct: return part<5>(all);
      default: return part<6>(all);
    }
  }
  Value operator()(const MergingAggregates& all) const {
    switch (shown) {
      case Aggregate::kMin: return part<0>(all);
      case Aggregate::kMax: return part<1>(all);
      case Aggregate::kFirst: return part<2>(all);
      default: return part<3>(all);
    }
  }

 private:
  template <std::size_t I>
  Value part(const auto& all) const {
    return of(result_of(std::get<I>(all.parts)));
  }
  static Value of(std::int64_t n) { return Value::of(static_cast<double>(n)); }
  static Value of(double n) { return Value::of(n == 0 ? 0 : n); }
  static Value of(const std::optional<double>& n) { return n ? of(*n) : Value{}; }
  static Value of(const std::optional<Value>& value) { return value.value_or(Value{}); }
  static Value of(std::vector<Value> values) {
    return values.empty() ? Value{} : Value::of(std::move(values));
  }
  [[nodiscard]] Value of(const std::vector<double>& values) const {
    std::vector<Value> parts;
    for (std::size_t i = 0; i < values.size() && i < top; ++i) parts.push_back(of(values[i]));
    return of(std::move(parts));
  }
};

// Calls make.template operator()<A>() with the accumulators that the aggregate is among.
template <class Make>
auto with_accumulators(Aggregate aggregate, Make make) {
  switch (aggregate) {
    case Aggregate::kMin:
    case Aggregate::kMax:
    case Aggregate::kFirst:
    case Aggregate::kTop: return make.template operator()<MergingAggregates>();
    case Aggregate::kCount:
    case Aggregate::kSum:
    case Aggregate::kMean:
    case Aggregate::kVariance:
    case Aggregate::kLast:
    case Aggregate::kDistinct:
    case Aggregate::kCollect: return make.template operator()<EvictingAggregates>();
  }
  return decltype(make.template operator()<MergingAggregates>()){};
}

}  // namespace tidemill::scenario
