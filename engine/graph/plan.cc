#include "engine/graph/plan.h"

#include <optional>
#include <set>
#include <utility>

#include "engine/base/error.h"

namespace tidemill {
namespace {

void check_names(const Graph& graph) {
  std::set<std::string> seen;
  for (const Node& node : graph.nodes) {
    if (node.name.empty())
      throw Error(ErrorCode::kConfig, "an operator has no name: " + node.kind +
                                          "; give it one, its state is found by it");
    if (!seen.insert(node.name).second) {
      throw Error(ErrorCode::kConfig,
                  "two operators have one name; rename one of them: " + node.name);
    }
  }
}

// The nearest node at or before `id` whose rows may be taken back, through nodes that pass on what
// they get one by one.
const Node* revising_node(const Graph& graph, NodeId id) {
  for (const Edge& e : graph.edges) {
    if (e.to != id) continue;
    const Node& from = graph.nodes[e.from];
    if (from.takes_changes_as_events) continue;
    if (!from.revises.empty() && e.port == 0) return &from;
    if (from.is_stateful) continue;
    if (const Node* found = revising_node(graph, from.id)) return found;
  }
  return nullptr;
}

void check_sinks(const Graph& graph) {
  for (const Node& sink : graph.nodes) {
    if (!sink.is_append_only) continue;
    const Node* revising = revising_node(graph, sink.id);
    if (revising == nullptr) continue;
    throw Error(ErrorCode::kConfig,
                "the " + sink.kind + " " + sink.name +
                    " can only add rows, but comes after one that takes rows back: " +
                    revising->name + " " + revising->revises +
                    "; use a sink that replaces rows by key, or say .as_events() to write each "
                    "change as a row of its own");
  }
}

// Without what is not there at this parallelism; of an edge both ends are.
Graph present(Graph graph, int parallelism) {
  const auto absent = parallelism == 1 ? Presence::kSeveralSubtasks : Presence::kOneSubtask;
  std::vector<NodeId> new_id(graph.nodes.size());
  Graph kept;
  for (Node& node : graph.nodes) {
    if (node.presence == absent) continue;
    new_id[node.id] = static_cast<NodeId>(kept.nodes.size());
    node.id = new_id[node.id];
    kept.nodes.push_back(std::move(node));
  }
  for (Edge& edge : graph.edges) {
    if (edge.presence == absent) continue;
    edge.from = new_id[edge.from];
    edge.to = new_id[edge.to];
    kept.edges.push_back(std::move(edge));
  }
  return kept;
}

// The chain a node joins: the one that all its inputs come from, on the same subtask. None: it
// begins one.
std::optional<std::size_t> chain_to_join(const Graph& graph, const std::vector<int>& parallelism,
                                         const std::vector<std::size_t>& chain_of, NodeId id) {
  std::optional<std::size_t> chain;
  for (const Edge& e : graph.edges) {
    if (e.to != id) continue;
    // With one subtask on both sides an exchange moves nothing.
    const bool same_place = parallelism[e.from] == parallelism[id] &&
                            (e.partitioning == Partitioning::kForward || parallelism[id] == 1);
    if (!same_place || (chain && *chain != chain_of[e.from])) return std::nullopt;
    chain = chain_of[e.from];
  }
  return chain;
}

const char* name_of(Partitioning p) {
  switch (p) {
    case Partitioning::kForward: return "forward";
    case Partitioning::kByKey: return "by key";
    case Partitioning::kRebalance: return "rebalance";
    case Partitioning::kBroadcast: return "broadcast";
    case Partitioning::kCustom: return "custom";
  }
  return "?";
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string explain_text(const Plan& plan) {
  std::string out;
  for (std::size_t c = 0; c < plan.chains.size(); ++c) {
    out += "task " + std::to_string(c) + "  x" + std::to_string(plan.chains[c].parallelism) + "\n";
    for (const NodeId id : plan.chains[c].nodes) {
      const Node& node = plan.graph.nodes[id];
      out +=
          "  " + node.name + "  (" + node.kind + (node.is_stateful ? ", keeps state" : "") + ")\n";
      for (const Edge& e : plan.graph.edges) {
        if (e.from != id) continue;
        out += "    port " + std::to_string(e.port) + " -> " + plan.graph.nodes[e.to].name;
        if (!plan.is_chained(e))
          out += "  [" + std::string(name_of(e.partitioning)) + ", task " +
                 std::to_string(plan.chain_of[e.to]) + "]";
        out += "\n";
      }
    }
  }
  return out;
}

std::string explain_dot(const Plan& plan) {
  std::string out = "digraph job {\n  rankdir=LR;\n  node [shape=box];\n";
  for (std::size_t c = 0; c < plan.chains.size(); ++c) {
    out += "  subgraph cluster_" + std::to_string(c) + " {\n    label=\"task " + std::to_string(c) +
           " x" + std::to_string(plan.chains[c].parallelism) + "\";\n";
    for (const NodeId id : plan.chains[c].nodes) {
      out += "    n" + std::to_string(id) +
             " [label=" + quoted(plan.graph.nodes[id].name + "\n" + plan.graph.nodes[id].kind) +
             "];\n";
    }
    out += "  }\n";
  }
  for (const Edge& e : plan.graph.edges) {
    out += "  n" + std::to_string(e.from) + " -> n" + std::to_string(e.to);
    if (!plan.is_chained(e)) out += " [label=" + quoted(name_of(e.partitioning)) + "]";
    out += ";\n";
  }
  return out + "}\n";
}

std::string explain_json(const Plan& plan) {
  std::string nodes;
  for (const Node& node : plan.graph.nodes) {
    if (!nodes.empty()) nodes += ",";
    nodes += "{\"id\":" + std::to_string(node.id) + ",\"name\":" + quoted(node.name) +
             ",\"kind\":" + quoted(node.kind) +
             ",\"task\":" + std::to_string(plan.chain_of[node.id]) +
             ",\"parallelism\":" + std::to_string(plan.chains[plan.chain_of[node.id]].parallelism) +
             ",\"stateful\":" + (node.is_stateful ? "true" : "false") + "}";
  }
  std::string edges;
  for (const Edge& e : plan.graph.edges) {
    if (!edges.empty()) edges += ",";
    edges += "{\"from\":" + std::to_string(e.from) + ",\"port\":" + std::to_string(e.port) +
             ",\"to\":" + std::to_string(e.to) + ",\"input\":" + std::to_string(e.input) +
             ",\"partitioning\":" + quoted(name_of(e.partitioning)) +
             ",\"chained\":" + (plan.is_chained(e) ? "true" : "false") + "}";
  }
  return "{\"parallelism\":" + std::to_string(plan.parallelism) +
         ",\"key_groups\":" + std::to_string(plan.key_groups) + ",\"nodes\":[" + nodes +
         "],\"edges\":[" + edges + "]}\n";
}

}  // namespace

Plan make_plan(Graph graph, int parallelism, std::uint32_t key_groups) {
  check_names(graph);
  check_sinks(graph);
  if (parallelism < 1)
    throw Error(ErrorCode::kConfig,
                "parallelism must be at least 1: " + std::to_string(parallelism));
  if (parallelism > static_cast<int>(key_groups)) {
    throw Error(ErrorCode::kConfig,
                "parallelism is above the number of key groups (" + std::to_string(key_groups) +
                    "), which is fixed at a job's first start: " + std::to_string(parallelism));
  }
  graph = present(std::move(graph), parallelism);
  Plan plan;
  plan.key_groups = key_groups;
  plan.parallelism = parallelism;
  std::vector<int> parallel;
  for (const Node& node : graph.nodes)
    parallel.push_back(node.parallelism == 0 ? parallelism : node.parallelism);
  plan.chain_of.resize(graph.nodes.size());
  for (const Node& node : graph.nodes) {
    if (const auto chain = chain_to_join(graph, parallel, plan.chain_of, node.id)) {
      plan.chain_of[node.id] = *chain;
      plan.chains[*chain].nodes.push_back(node.id);
    } else {
      plan.chain_of[node.id] = plan.chains.size();
      plan.chains.push_back({{node.id}, parallel[node.id]});
    }
  }
  plan.graph = std::move(graph);
  return plan;
}

std::string explain(const Plan& plan, ExplainFormat format) {
  switch (format) {
    case ExplainFormat::kText: return explain_text(plan);
    case ExplainFormat::kDot: return explain_dot(plan);
    case ExplainFormat::kJson: return explain_json(plan);
  }
  return "";
}

}  // namespace tidemill
