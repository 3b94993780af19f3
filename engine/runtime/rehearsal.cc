#include "engine/runtime/rehearsal.h"

#include <algorithm>

#include "engine/base/metrics.h"

namespace tidemill {
namespace {

// A source or sink: what it says it asks for, or may.
void note_declared(const Node& node, const RestoredOperators* restored,
                   RehearsedOperators& outcome) {
  if (node.parts) outcome.parts[node.name].insert(node.parts->begin(), node.parts->end());
  if (restored == nullptr) return;
  const auto it = restored->find(node.name);
  if (it == restored->end() || !node.parts) return;
  for (const auto& subtask : it->second.subtasks) {
    for (const StatePart& part : subtask.parts) {
      if (std::find(node.parts->begin(), node.parts->end(), part.name) == node.parts->end())
        outcome.unused_parts.emplace(node.name, part.name);
    }
  }
}

}  // namespace

RehearsedOperators rehearse_operators(const Plan& plan, const RestoredOperators* restored,
                                      Resources& resources, const Clock& clock) {
  RehearsedOperators outcome;
  MetricRegistry metrics;
  Rehearsal rehearsal;
  resources.lend(rehearsal);
  std::set<std::string> failed;
  for (const Chain& chain : plan.chains) {
    for (int subtask = 0; subtask < chain.parallelism; ++subtask) {
      for (const NodeId id : chain.nodes) {
        const Node& node = plan.graph.nodes[id];
        if (failed.contains(node.name)) continue;
        if (!node.make_operator || node.is_sink) {
          if (subtask == 0) note_declared(node, restored, outcome);
          continue;
        }
        const auto context = make_context(plan, node, subtask, chain.parallelism, restored,
                                          resources, metrics, clock);
        try {
          const auto built = node.make_operator(*context);
        } catch (const Error& error) {
          outcome.refused.emplace_back(node.name, error);
          failed.insert(node.name);
          continue;
        }
        note_unused_parts(node, *context, outcome.unused_parts);
        for (const std::string& part : context->asked_parts())
          outcome.parts[node.name].insert(part);
      }
    }
  }
  // What they would have asked for nobody knows.
  std::erase_if(outcome.unused_parts,
                [&](const auto& part) { return failed.contains(part.first); });
  return outcome;
}

}  // namespace tidemill
