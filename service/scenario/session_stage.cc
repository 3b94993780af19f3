#include "operators/session_window.h"
#include "service/scenario/stages.h"

namespace tidemill::scenario {
namespace {

ResultRow row_of_change(const Change<WindowRow>& change) {
  const WindowRow& row = change.row;
  if (change.is_delete())
    return {"delete " + row.key + "[" + print(row.window.start) + "," + print(row.window.end) + ")",
            {},
            {},
            false};
  return {window_row(row.key, row.window.start, row.window.end, row.value), row.key, row.value};
}

}  // namespace

StageRows add_session_stage(const StageSite& site) {
  const StageSpec& spec = site.spec;
  const Session session{*spec.duration("gap")};
  const WindowOptions options = window_options(spec, site.place);
  const ToValue finish{*spec.aggregate, spec.top};
  const NodeId id =
      site.add_by_key(with_accumulators(*spec.aggregate, [&]<class A>() -> MakeOperator {
        using Stage = SessionWindow<ScenarioRecord, A, std::string ScenarioRecord::*, ToValue>;
        return [=](OperatorContext& ctx) {
          return std::make_unique<Stage>(ctx, session, options, &ScenarioRecord::key, finish);
        };
      }));
  return {site.port<Change<WindowRow>>(id, 0).map(&row_of_change),
          {site.port<ScenarioRecord>(id, 1).map(&text_of_late)}};
}

}  // namespace tidemill::scenario
