#include "operators/global_window.h"
#include "service/scenario/stages.h"

namespace tidemill::scenario {
namespace {

using GlobalRow = Keyed<std::string, Value>;

// The text of a row has its time in it.
class ShowTime final : public OneInput<GlobalRow> {
 public:
  using Out = ResultRow;

  explicit ShowTime(OperatorContext& ctx) : out_(ctx.output<ResultRow>(0)) {}

  void process(Batch<GlobalRow>& batch) override {
    for (const auto& [row, time] : batch)
      out_.emit({row.key + "@" + print(time) + "=" + print(row.value), row.key, row.value}, time);
  }

 private:
  Emitter<ResultRow>& out_;
};

}  // namespace

StageRows add_global_stage(const StageSite& site) {
  const StageSpec& spec = site.spec;
  const auto n = static_cast<std::uint64_t>(spec.count("count", spec.count("every", 1)));
  const bool begins_anew = spec.has("count");
  const ToValue finish{*spec.aggregate, spec.top};
  const NodeId id =
      site.add_by_key(with_accumulators(*spec.aggregate, [&]<class A>() -> MakeOperator {
        using Stage = GlobalWindow<ScenarioRecord, A, std::string ScenarioRecord::*, ToValue>;
        return [=](OperatorContext& ctx) -> std::unique_ptr<Operator> {
          if (begins_anew)
            return std::make_unique<Stage>(ctx, CountWindow{n}, &ScenarioRecord::key, finish);
          return std::make_unique<Stage>(ctx, EveryN{n}, &ScenarioRecord::key, finish);
        };
      }));
  return {site.port<GlobalRow>(id, 0).process<ShowTime>("times of the " + site.name)};
}

}  // namespace tidemill::scenario
