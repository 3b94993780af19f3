// The operators of a scenario's stages, one instantiation for each aggregate.
#pragma once

#include <memory>
#include <string>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/aggregates.h"
#include "operators/collections.h"
#include "operators/combined.h"
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

using MakeOperator = std::function<std::unique_ptr<Operator>(OperatorContext&)>;

// Tumbling and sliding: port 0 WindowRow, port 1 late ScenarioRecords.
MakeOperator make_window_stage(const StageSpec& spec, const StagePlace& place);
// Trailing: port 0 TrailingRow<std::string, Value>.
MakeOperator make_trailing_stage(const StageSpec& spec, const StagePlace& place);

// From an accumulator to what a row shows.
struct ToValue {
  std::size_t top = 0;

  template <class A>
  Value operator()(const A& accumulator) const {
    return of(result_of(accumulator));
  }

 private:
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

// Calls make.template operator()<A>() with the accumulator of the aggregate.
template <class Make>
MakeOperator with_accumulator(Aggregate aggregate, Make make) {
  constexpr auto kNumber = &ScenarioRecord::number;
  constexpr auto kValue = &ScenarioRecord::value;
  using All = TopN<double, std::numeric_limits<std::size_t>::max()>;  // cut to N in the row
  switch (aggregate) {
    case Aggregate::kCount: return make.template operator()<Count>();
    case Aggregate::kSum: return make.template operator()<Of<kNumber, Sum<double>>>();
    case Aggregate::kMean: return make.template operator()<Of<kNumber, Mean<double>>>();
    case Aggregate::kMin: return make.template operator()<Of<kNumber, Min<double>>>();
    case Aggregate::kMax: return make.template operator()<Of<kNumber, Max<double>>>();
    case Aggregate::kVariance: return make.template operator()<Of<kNumber, Variance<double>>>();
    case Aggregate::kFirst: return make.template operator()<Of<kValue, First<Value>>>();
    case Aggregate::kLast: return make.template operator()<Of<kValue, Last<Value>>>();
    case Aggregate::kDistinct: return make.template operator()<Of<kValue, Distinct<Value>>>();
    case Aggregate::kCollect: return make.template operator()<Of<kValue, Collect<Value>>>();
    case Aggregate::kTop: return make.template operator()<Of<kNumber, All>>();
  }
  return {};
}

}  // namespace tidemill::scenario
