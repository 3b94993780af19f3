#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "operators/process_function.h"
#include "service/scenario/stages.h"

namespace tidemill::scenario {
namespace {

// Takes its records' values as commands: [+|-][p]TIME[/name].
struct TimerCommands {
  using Out = ResultRow;
  using Context = ProcessContext<std::string, ResultRow>;

  explicit TimerCommands(StateContext<std::string>& /*state*/) {}

  void process(const ScenarioRecord& record, Context& ctx) {
    if (record.value.kind != Value::Kind::kWord || !is_timer_command(record.value.word)) return;
    std::string_view text = record.value.word;
    const bool deletes = text.starts_with('-');
    if (deletes || text.starts_with('+')) text.remove_prefix(1);
    const bool is_processing = text.starts_with('p');
    if (is_processing) text.remove_prefix(1);
    const std::size_t slash = std::min(text.find('/'), text.size());
    const EventTime time = *read_time(text.substr(0, slash));
    const std::string_view name = text.substr(std::min(slash + 1, text.size()));
    if (is_processing) {
      deletes ? ctx.delete_processing_timer(time, name) : ctx.set_processing_timer(time, name);
    } else {
      deletes ? ctx.delete_timer(time, name) : ctx.set_timer(time, name);
    }
  }
  void on_timer(const FiredTimer& timer, Context& ctx) {
    const std::string name = timer.name.empty() ? "" : "/" + std::string(timer.name);
    const std::string clock = timer.clock == TimeDomain::kProcessing ? "p" : "";
    ctx.emit({"fire " + ctx.key() + "@" + clock + print(timer.time) + name, {}, {}, false});
  }
};

}  // namespace

StageRows add_timers_stage(const StageSite& site) {
  using Stage = KeyedProcess<TimerCommands, ScenarioRecord, std::string ScenarioRecord::*>;
  ProcessOptions options;
  options.firing_budget = site.place.firing_budget > 0 ? site.place.firing_budget
                                                       : std::numeric_limits<std::size_t>::max();
  const NodeId id = site.add_by_key([options](OperatorContext& ctx) {
    return std::make_unique<Stage>(ctx, options, &ScenarioRecord::key);
  });
  return {site.port<ResultRow>(id, 0)};
}

}  // namespace tidemill::scenario
