#include <algorithm>
#include <string>

#include "service/scenario/stages.h"
#include "state/operator_state.h"

namespace tidemill::scenario {
namespace {

// Shows the merged watermark itself. One subtask, since all would show the same.
class ShowWatermarks final : public OneInput<ScenarioRecord> {
 public:
  ShowWatermarks(OperatorContext& ctx, bool shows_idleness)
      : shows_idleness_(shows_idleness), shown_(ctx, "shown"), out_(ctx.output<ResultRow>(0)) {
    *shown_ = EventTime::min();
    for (const EventTime before : shown_.restored()) *shown_ = std::max(*shown_, before);
  }

  void process(Batch<ScenarioRecord>&) override {}
  Progress on_watermark(EventTime watermark) override {
    if (watermark <= *shown_) return Progress::kDone;
    *shown_ = watermark;
    out_.emit({"w=" + print(watermark), {}, {}, false}, watermark);
    return Progress::kDone;
  }
  void on_idle(bool is_idle) override {
    if (shows_idleness_) out_.emit({is_idle ? "idle" : "active", {}, {}, false}, *shown_);
  }
  Progress on_end() override { return on_watermark(EventTime::max()); }

 private:
  const bool shows_idleness_;
  OperatorState<EventTime> shown_;
  Emitter<ResultRow>& out_;
};

}  // namespace

StageRows add_watermarks_stage(const StageSite& site) {
  const bool is_only = site.place.is_only;
  const NodeId id = site.add(
      [is_only](OperatorContext& ctx) { return std::make_unique<ShowWatermarks>(ctx, is_only); },
      1);
  site.graph->connect<ScenarioRecord>(site.inputs.front().from(), id);
  return {site.port<ResultRow>(id, 0)};
}

}  // namespace tidemill::scenario
