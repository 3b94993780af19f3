// Graph -> chains of stages. Checks what can be checked without running: unique names, no dangling
// inputs.
#pragma once

#include <string>
#include <vector>

#include "engine/graph/graph.h"

namespace tidemill {

// Nodes that run in one task, head first, in graph order.
struct Chain {
  std::vector<NodeId> nodes;
  int parallelism = 1;
};

struct Plan {
  Graph graph;
  std::vector<Chain> chains;
  std::vector<std::size_t> chain_of;  // by node
  std::uint32_t key_groups = kDefaultKeyGroups;
  int parallelism = 1;

  [[nodiscard]] bool is_chained(const Edge& e) const { return chain_of[e.from] == chain_of[e.to]; }
};

// Throws Error(kConfig) naming the operator and the mistake.
Plan make_plan(Graph graph, int parallelism, std::uint32_t key_groups = kDefaultKeyGroups);

enum class ExplainFormat { kText, kDot, kJson };
std::string explain(const Plan& plan, ExplainFormat format);

}  // namespace tidemill
