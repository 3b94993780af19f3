#include <limits>

#include "operators/aligned_window.h"
#include "operators/pre_aggregate.h"
#include "service/scenario/stages.h"

namespace tidemill::scenario {

ResultRow row_of_window(const WindowRow& row) {
  return {window_row(row.key, row.window.start, row.window.end, row.value), row.key, row.value};
}

WindowOptions window_options(const StageSpec& spec, const StagePlace& place) {
  WindowOptions options;
  options.allowed_lateness = spec.duration("lateness").value_or(Duration::zero());
  options.early = spec.duration("early");
  options.early_processing = spec.duration("early_processing");
  options.on_update = spec.choice("emit", "close") == "update";
  options.changes_only = spec.has("changes_only");
  // What a watermark causes is one batch to a second stage.
  options.firing_budget = place.is_only && place.firing_budget > 0
                              ? place.firing_budget
                              : std::numeric_limits<std::size_t>::max();
  return options;
}

StageRows add_window_stage(const StageSite& site) {
  const StageSpec& spec = site.spec;
  const Duration size = *spec.duration("size");
  const AlignedWindows windows(Sliding{size, spec.duration("slide").value_or(size),
                                       spec.duration("offset").value_or(Duration::zero())});
  const WindowOptions options = window_options(spec, site.place);
  const ToValue finish{*spec.aggregate, spec.top};
  const NodeId id = with_accumulators(*spec.aggregate, [&]<class A>() -> NodeId {
    using Stage = AlignedWindow<ScenarioRecord, A, std::string ScenarioRecord::*, ToValue>;
    const MakeOperator make = [=](OperatorContext& ctx) {
      return std::make_unique<Stage>(ctx, windows, options, &ScenarioRecord::key, finish);
    };
    return add_pre_aggregated<ScenarioRecord, A>(*site.graph, site.inputs.front().from(), site.name,
                                                 spec.kind, make, windows, partials_of(options),
                                                 &ScenarioRecord::key);
  });
  return {site.port<WindowRow>(id, 0).map(&row_of_window),
          {site.port<ScenarioRecord>(id, 1).map(&text_of_late)}};
}

}  // namespace tidemill::scenario
