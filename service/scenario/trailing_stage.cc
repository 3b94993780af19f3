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

using Row = TrailingRow<std::string, Value>;

ResultRow row_of_trailing(const Row& row, const std::vector<Trailing>& windows) {
  const std::string at = row.key + "@" + print(row.at);
  if (row.is_delete) return {"delete " + at, {}, {}, false};
  std::string inner;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    inner += (i == 0 ? "" : ",") + print(EventTime{windows[i].size.count()}) + "=" +
             print(row.results[i]);
  }
  return {at + "{" + inner + "}", {}, {}, false};
}

}  // namespace

StageRows add_trailing_stage(const StageSite& site) {
  const StageSpec& spec = site.spec;
  const std::vector<Trailing> windows = windows_of(spec);
  const TrailingOptions options = options_of(spec, site.place);
  const PlaceOf order{site.place.is_first && options.emit != TrailingEmit::kOnRecord};
  const ToValue finish{*spec.aggregate, spec.top};
  const NodeId id =
      site.add_by_key(with_accumulators(*spec.aggregate, [&]<class A>() -> MakeOperator {
        using Stage =
            TrailingWindow<ScenarioRecord, A, std::string ScenarioRecord::*, PlaceOf, ToValue>;
        return [=](OperatorContext& ctx) {
          return std::make_unique<Stage>(ctx, windows, options, &ScenarioRecord::key, order,
                                         finish);
        };
      }));
  return {site.port<Row>(id, 0).map(
      [windows](const Row& row) { return row_of_trailing(row, windows); })};
}

}  // namespace tidemill::scenario
