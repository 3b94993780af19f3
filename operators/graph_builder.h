// Collects nodes and edges while the DSL is being spoken. Runs nothing.
#pragma once

#include <memory>
#include <string>
#include <typeindex>
#include <utility>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/runtime/exchange.h"
#include "state/key_encoding.h"

namespace tidemill {

// Every key that state may hold may part a stream.
struct HashOfKey {
  template <class K>
  std::uint64_t operator()(const K& key) const {
    return key_hash(key);
  }
};

// An output port of a node: what a Stream stands for.
struct PortRef {
  NodeId node = 0;
  std::size_t port = 0;
};

// Shared by all streams of one job definition; one thread.
class GraphBuilder {
 public:
  NodeId add(Node node) {
    node.id = static_cast<NodeId>(graph_.nodes.size());
    if (node.name.empty()) node.name = node.kind + "-" + std::to_string(node.id);
    graph_.nodes.push_back(std::move(node));
    return graph_.nodes.back().id;
  }

  // The node's output 0 takes rows back: Node::revises says what to write. Empty changes nothing.
  void note_revises(NodeId id, std::string why) { graph_.nodes[id].revises = std::move(why); }

  // Same subtask where the parallelism allows, chained; else in turn.
  template <class T>
  void connect(const std::vector<PortRef>& from, NodeId to, int input = 0,
               Presence presence = Presence::kAlways) {
    for (const PortRef& ref : from) {
      Edge edge{ref.node, ref.port, to, input, Partitioning::kForward, typeid(T), {}};
      edge.make_exchange = [](std::vector<Channel*> targets, std::uint32_t,
                              int subtask) -> std::unique_ptr<ExchangeOutlet> {
        if (targets.size() == 1) return std::make_unique<ForwardExchange<T>>(targets.front());
        return std::make_unique<RebalanceExchange<T>>(std::move(targets),
                                                      static_cast<std::size_t>(subtask));
      };
      edge.presence = presence;
      graph_.edges.push_back(std::move(edge));
    }
  }

  template <class T, class KeyFn>
  void connect_by_key(const std::vector<PortRef>& from, NodeId to, const KeyFn& key, int input = 0,
                      Presence presence = Presence::kAlways) {
    for (const PortRef& ref : from) {
      Edge edge{ref.node, ref.port, to, input, Partitioning::kByKey, typeid(T), {}};
      edge.make_exchange = [key](std::vector<Channel*> targets, std::uint32_t key_groups,
                                 int) -> std::unique_ptr<ExchangeOutlet> {
        return std::make_unique<KeyExchange<T, KeyFn, HashOfKey>>(std::move(targets), key_groups,
                                                                  key);
      };
      edge.presence = presence;
      graph_.edges.push_back(std::move(edge));
    }
  }

  // Batches in turn, also where the parallelism would allow the same subtask.
  template <class T>
  void connect_in_turn(const std::vector<PortRef>& from, NodeId to) {
    for (const PortRef& ref : from) {
      Edge edge{ref.node, ref.port, to, 0, Partitioning::kRebalance, typeid(T), {}};
      edge.make_exchange = [](std::vector<Channel*> targets, std::uint32_t,
                              int subtask) -> std::unique_ptr<ExchangeOutlet> {
        return std::make_unique<RebalanceExchange<T>>(std::move(targets),
                                                      static_cast<std::size_t>(subtask));
      };
      graph_.edges.push_back(std::move(edge));
    }
  }

  // Choose: std::size_t(const T&, std::size_t subtasks).
  template <class T, class Choose>
  void connect_by(const std::vector<PortRef>& from, NodeId to, const Choose& choose) {
    for (const PortRef& ref : from) {
      Edge edge{ref.node, ref.port, to, 0, Partitioning::kCustom, typeid(T), {}};
      edge.make_exchange = [choose](std::vector<Channel*> targets, std::uint32_t,
                                    int) -> std::unique_ptr<ExchangeOutlet> {
        return std::make_unique<PartitionExchange<T, Choose>>(std::move(targets), choose);
      };
      graph_.edges.push_back(std::move(edge));
    }
  }

  // Every record to every subtask.
  template <class T>
  void connect_broadcast(const std::vector<PortRef>& from, NodeId to, int input = 0) {
    for (const PortRef& ref : from) {
      Edge edge{ref.node, ref.port, to, input, Partitioning::kBroadcast, typeid(T), {}};
      edge.make_exchange = [](std::vector<Channel*> targets, std::uint32_t,
                              int) -> std::unique_ptr<ExchangeOutlet> {
        return std::make_unique<BroadcastExchange<T>>(std::move(targets));
      };
      graph_.edges.push_back(std::move(edge));
    }
  }

  [[nodiscard]] const Graph& graph() const { return graph_; }

 private:
  Graph graph_;
};

}  // namespace tidemill
