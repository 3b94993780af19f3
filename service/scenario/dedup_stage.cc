#include <limits>
#include <memory>
#include <string>

#include "operators/dedup.h"
#include "service/scenario/stages.h"

namespace tidemill::scenario {
namespace {

using KeyOf = std::string ScenarioRecord::*;

ResultRow row_of(const ScenarioRecord& record) {
  return {record.key + "@" + print(record.time) + "=" + print(record.value), record.key,
          record.value};
}

}  // namespace

StageRows add_dedup_stage(const StageSite& site) {
  const StageSpec& spec = site.spec;
  if (spec.choice("keep", "first") == "last") {
    const NodeId id = site.add_by_key([](OperatorContext& ctx) {
      return std::make_unique<DedupLast<ScenarioRecord, KeyOf>>(ctx, &ScenarioRecord::key);
    });
    return {site.port<Change<ScenarioRecord>>(id, 0).map(
        [](const Change<ScenarioRecord>& change) { return row_of(change.row); })};
  }
  DedupOptions options;
  options.within = spec.duration("within");
  // What a watermark causes is one batch to a second stage.
  options.firing_budget = site.place.is_only && site.place.firing_budget > 0
                              ? site.place.firing_budget
                              : std::numeric_limits<std::size_t>::max();
  const NodeId id = site.add_by_key([options](OperatorContext& ctx) {
    return std::make_unique<DedupFirst<ScenarioRecord, KeyOf>>(ctx, options, &ScenarioRecord::key);
  });
  return {site.port<ScenarioRecord>(id, 0).map(&row_of),
          {site.port<ScenarioRecord>(id, 1).map(&text_of_late)}};
}

}  // namespace tidemill::scenario
