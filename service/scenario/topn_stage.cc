#include <algorithm>
#include <memory>
#include <string>

#include "operators/top_n.h"
#include "service/scenario/stages.h"

namespace tidemill::scenario {
namespace {

// Numbers before words before lists, which go by their parts.
bool is_less(const Value& a, const Value& b) {
  if (a.kind != b.kind) return a.kind < b.kind;
  if (a.number != b.number) return a.number < b.number;
  if (a.word != b.word) return a.word < b.word;
  return std::lexicographical_compare(a.parts.begin(), a.parts.end(), b.parts.begin(),
                                      b.parts.end(), &is_less);
}

struct RankValue {
  Value value;
  friend bool operator<(const RankValue& a, const RankValue& b) {
    return is_less(a.value, b.value);
  }
  BOOST_DESCRIBE_CLASS(RankValue, (), (value), (), ())
};
struct RankValueOf {
  RankValue operator()(const ScenarioRecord& record) const { return {record.value}; }
};

using KeyOf = std::string ScenarioRecord::*;
using ShownOf = Value ScenarioRecord::*;
using TopNStage = TopNPerKey<ScenarioRecord, KeyOf, RankValueOf, ShownOf>;

ResultRow row_of(const TopNStage::Out& change) {
  const auto& ranked = change.row;
  return {ranked.key + "#" + std::to_string(ranked.rank) + "=" + print(ranked.row), ranked.key,
          ranked.row};
}

}  // namespace

StageRows add_topn_stage(const StageSite& site) {
  const auto n = static_cast<std::size_t>(site.spec.count("n", 1));
  const RankOrder order =
      site.spec.choice("order", "desc") == "asc" ? RankOrder::kAscending : RankOrder::kDescending;
  const NodeId id = site.add_by_key([n, order](OperatorContext& ctx) {
    return std::make_unique<TopNStage>(ctx, n, order, &ScenarioRecord::key, RankValueOf{},
                                       &ScenarioRecord::value);
  });
  return {site.port<TopNStage::Out>(id, 0).map(&row_of)};
}

}  // namespace tidemill::scenario
