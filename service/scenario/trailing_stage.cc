#include <algorithm>
#include <utility>
#include <vector>

#include "operators/trailing_window.h"
#include "service/scenario/stages.h"

namespace tidemill::scenario {
namespace {

// Where records take effect in the order of their instants, ties go by place; else by arrival.
struct PlaceOf {
  bool counts = false;
  TieOrder operator()(const ScenarioRecord& record) const {
    return counts ? record.place : TieOrder{};
  }
};

std::vector<Trailing> windows_of(const StageSpec& spec) {
  std::vector<Duration> sizes = spec.parameters.at("windows").durations;
  std::ranges::sort(sizes);
  std::vector<Trailing> windows;
  for (const Duration size : sizes) {
    Duration resolution = spec.duration("resolution").value_or(Duration(1));
    if (spec.choice("resolution", "") == "auto") resolution = Trailing::auto_resolution(size);
    windows.push_back({size, resolution});
  }
  return windows;
}

TrailingOptions options_of(const StageSpec& spec, const StagePlace& place) {
  TrailingOptions options;
  const std::string emit = spec.choice("emit", "on_record");
  options.emit = emit == "coalesced"      ? TrailingEmit::kCoalesced
                 : emit == "on_watermark" ? TrailingEmit::kOnWatermark
                                          : TrailingEmit::kOnRecord;
  options.interval = spec.duration("interval").value_or(Duration::zero());
  options.lateness = spec.duration("lateness").value_or(Duration::zero());
  options.deletes_empty = spec.choice("empty", "row") == "delete";
  options.changes_only = spec.has("changes_only");
  if (place.firing_budget > 0) options.firing_budget = place.firing_budget;
  return options;
}

}  // namespace

MakeOperator make_trailing_stage(const StageSpec& spec, const StagePlace& place) {
  const std::vector<Trailing> windows = windows_of(spec);
  const TrailingOptions options = options_of(spec, place);
  const PlaceOf order{place.is_first && options.emit != TrailingEmit::kOnRecord};
  const ToValue finish{*spec.aggregate, spec.top};
  return with_accumulators(*spec.aggregate, [&]<class A>() -> MakeOperator {
    using Stage =
        TrailingWindow<ScenarioRecord, A, std::string ScenarioRecord::*, PlaceOf, ToValue>;
    return [=](OperatorContext& ctx) {
      return std::make_unique<Stage>(ctx, windows, options, &ScenarioRecord::key, order, finish);
    };
  });
}

}  // namespace tidemill::scenario
