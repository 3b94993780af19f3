#include <limits>

#include "operators/aligned_window.h"
#include "service/scenario/stages.h"

namespace tidemill::scenario {
namespace {

WindowOptions options_of(const StageSpec& spec, const StagePlace& place) {
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

}  // namespace

ResultRow row_of_window(const WindowRow& row) {
  return {window_row(row.key, row.window.start, row.window.end, row.value), row.key, row.value};
}

StageRows add_window_stage(const StageSite& site) {
  const StageSpec& spec = site.spec;
  const Duration size = *spec.duration("size");
  const AlignedWindows windows(Sliding{size, spec.duration("slide").value_or(size),
                                       spec.duration("offset").value_or(Duration::zero())});
  const WindowOptions options = options_of(spec, site.place);
  const ToValue finish{*spec.aggregate, spec.top};
  const NodeId id =
      site.add_by_key(with_accumulators(*spec.aggregate, [&]<class A>() -> MakeOperator {
        using Stage = AlignedWindow<ScenarioRecord, A, std::string ScenarioRecord::*, ToValue>;
        return [=](OperatorContext& ctx) {
          return std::make_unique<Stage>(ctx, windows, options, &ScenarioRecord::key, finish);
        };
      }));
  return {site.port<WindowRow>(id, 0).map(&row_of_window),
          {site.port<ScenarioRecord>(id, 1).map(&text_of_late)}};
}

}  // namespace tidemill::scenario
