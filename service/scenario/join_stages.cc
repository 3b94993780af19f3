// The kinds with two inputs: window-join, interval-join, asof-join.
#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "operators/asof_join.h"
#include "operators/interval_join.h"
#include "operators/window_join.h"
#include "service/scenario/stages.h"

namespace tidemill::scenario {
namespace {

using KeyOf = std::string ScenarioRecord::*;

// (LEFT,RIGHT), where what is missing is nothing.
Value pair_of(const ScenarioRecord* left, const ScenarioRecord* right) {
  return Value::of(std::vector<Value>{left != nullptr ? left->value : Value{},
                                      right != nullptr ? right->value : Value{}});
}

// KEY@TIME=(LEFT,RIGHT) at the greater time; as-of joins do not count the version's.
struct ToRow {
  bool at_left = false;

  ResultRow operator()(const ScenarioRecord* left, const ScenarioRecord* right) const {
    const ScenarioRecord& one = left != nullptr ? *left : *right;
    const EventTime time =
        right != nullptr && !at_left ? std::max(one.time, right->time) : one.time;
    Value value = pair_of(left, right);
    std::string text = one.key + "@" + print(time) + "=" + print(value);
    return {std::move(text), one.key, std::move(value)};
  }
};

struct ToValuePair {
  Value operator()(const ScenarioRecord& left, const ScenarioRecord& right) const {
    return pair_of(&left, &right);
  }
};

// A version whose value is nothing says that there is none.
struct IsNothing {
  bool operator()(const ScenarioRecord& record) const {
    return record.value.kind == Value::Kind::kNothing;
  }
};

JoinType type_of(const StageSpec& spec) {
  const std::string type = spec.choice("type", "inner");
  if (type == "left") return JoinType::kLeft;
  if (type == "right") return JoinType::kRight;
  return type == "outer" ? JoinType::kOuter : JoinType::kInner;
}

// What a watermark causes is one batch to a second stage.
std::size_t budget_of(const StagePlace& place) {
  return place.is_only && place.firing_budget > 0 ? place.firing_budget
                                                  : std::numeric_limits<std::size_t>::max();
}

// late left KEY@TIME=VALUE
std::vector<Stream<std::string>> late_of_both(const StageSite& site, NodeId node) {
  std::vector<Stream<std::string>> late;
  for (std::size_t side = 0; side < 2; ++side) {
    late.push_back(
        site.port<ScenarioRecord>(node, 1 + side).map([side](const ScenarioRecord& record) {
          return (side == 0 ? "late left " : "late right ") +
                 text_of_late(record).substr(std::string("late ").size());
        }));
  }
  return late;
}

}  // namespace

StageRows add_window_join_stage(const StageSite& site) {
  const Duration size = *site.spec.duration("size");
  const AlignedWindows windows(Sliding{size, site.spec.duration("slide").value_or(size),
                                       site.spec.duration("offset").value_or(Duration::zero())});
  const std::size_t budget = budget_of(site.place);
  using Stage = WindowJoin<ScenarioRecord, ScenarioRecord, KeyOf, KeyOf, ToValuePair>;
  const NodeId id = site.add_by_key([=](OperatorContext& ctx) {
    return std::make_unique<Stage>(ctx, windows, &ScenarioRecord::key, &ScenarioRecord::key,
                                   EachPair<ToValuePair>{}, budget);
  });
  return {site.port<WindowRow>(id, 0).map(&row_of_window), late_of_both(site, id)};
}

StageRows add_interval_join_stage(const StageSite& site) {
  const IntervalJoinOptions options{*site.spec.duration("lower"), *site.spec.duration("upper"),
                                    type_of(site.spec), budget_of(site.place)};
  using Stage = IntervalJoin<ScenarioRecord, ScenarioRecord, KeyOf, KeyOf, ToRow>;
  const NodeId id = site.add_by_key([=](OperatorContext& ctx) {
    return std::make_unique<Stage>(ctx, options, &ScenarioRecord::key, &ScenarioRecord::key,
                                   ToRow{});
  });
  return {site.port<ResultRow>(id, 0), late_of_both(site, id)};
}

StageRows add_asof_join_stage(const StageSite& site) {
  const AsofJoinOptions options{type_of(site.spec), budget_of(site.place)};
  using Stage = AsofJoin<ScenarioRecord, ScenarioRecord, KeyOf, KeyOf, ToRow, IsNothing>;
  const NodeId id = site.add_by_key([=](OperatorContext& ctx) {
    return std::make_unique<Stage>(ctx, options, &ScenarioRecord::key, &ScenarioRecord::key,
                                   ToRow{.at_left = true}, IsNothing{});
  });
  return {site.port<ResultRow>(id, 0), late_of_both(site, id)};
}

}  // namespace tidemill::scenario
