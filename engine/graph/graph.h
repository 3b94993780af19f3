// A job as plain data: nodes and edges. The DSL builds it, the plan cuts it into chains, the
// runtime builds tasks from it. Immutable once built; read by any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <typeindex>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/data/emitter.h"
#include "engine/operator/context.h"
#include "engine/operator/operator.h"

namespace tidemill {

class Channel;  // engine/runtime/channel.h

// What a source subtask does when it is stepped. Implemented by engine/runtime/source_stage.h for
// any record type.
class SourceDriver {
 public:
  virtual ~SourceDriver() = default;
  // Reads and emits one batch, then the watermark it caused. False: nothing to do just now.
  virtual bool step() = 0;
  // The task was held back (back-pressure): the time since the last step is not idle time.
  virtual void on_blocked() = 0;
  // When (monotonic clock) this source will act although nothing comes: a split becomes idle.
  // max(): not that it knew.
  [[nodiscard]] virtual std::chrono::nanoseconds next_alarm() const {
    return std::chrono::nanoseconds::max();
  }
  // Every split is finished and the end has been sent.
  [[nodiscard]] virtual bool has_ended() const = 0;
};

// An outlet that ends in channels to other tasks.
class ExchangeOutlet : public Outlet {
 public:
  // Hands on what is buffered for the receivers.
  virtual void flush() = 0;
  // Once, before the first batch: `labels` say which exchange it is.
  virtual void meter(MetricRegistry& /*metrics*/, const Labels& /*labels*/) {}
};

using NodeId = std::uint32_t;

enum class Partitioning : std::uint8_t {
  kForward,    // same subtask; chained into one task where possible
  kByKey,      // by the key group of the record's key
  kRebalance,  // to any subtask, in turn
  kBroadcast,  // to every subtask
  kCustom,     // as a function of the user's says
};

using MakeOperator = std::function<std::unique_ptr<Operator>(OperatorContext&)>;

// Whether a node or an edge is part of the job: some are there only if the job has one subtask of
// each operator, others only if it has more.
enum class Presence : std::uint8_t { kAlways, kOneSubtask, kSeveralSubtasks };

struct Node {
  NodeId id = 0;
  std::string name;
  std::string kind;  // for people: "map", "tumbling window", "kafka source"
  bool is_stateful = false;
  // 0: the job's parallelism. A sink that must be one writer sets 1.
  int parallelism = 0;
  Presence presence = Presence::kAlways;
  // Why its output takes rows back that it has given: "gives windows again (allowed_lateness)".
  // Empty: what is out is out.
  std::string revises;
  // Takes rows that revise earlier ones as events of their own: nobody behind it is asked.
  bool takes_changes_as_events = false;
  // A sink that can only add rows: a plan that brings it others is refused.
  bool is_append_only = false;
  bool is_sink = false;
  // Of sources and sinks: the parts of a checkpoint that they ask for, which must be known without
  // building them. Nothing: not said, and every part that a checkpoint has of it counts as asked
  // for.
  std::optional<std::vector<std::string>> parts;
  // Exactly one of these is set.
  MakeOperator make_operator;
  std::function<std::unique_ptr<SourceDriver>(OperatorContext&)> make_source;
  // Sinks with something to do after the commit (renames): idempotent, called again after a
  // restore. Coordinator's thread.
  std::function<void(ByteView prepared)> publish;
  // Sinks: called once before the tasks of an attempt are built, with what the restored checkpoint
  // prepared; `publish` came before. Removes left-overs of attempts that never counted.
  std::function<void()> discard_unpublished;
};

struct Edge {
  NodeId from = 0;
  std::size_t port = 0;
  NodeId to = 0;
  int input = 0;
  Partitioning partitioning = Partitioning::kForward;
  std::type_index type{typeid(void)};
  // Builds the typed outlet into the channels of all receiving subtasks (null for kForward edges
  // that are chained).
  std::function<std::unique_ptr<ExchangeOutlet>(std::vector<Channel*>, std::uint32_t key_groups,
                                                int subtask)>
      make_exchange;
  Presence presence = Presence::kAlways;
};

struct Graph {
  std::vector<Node> nodes;  // nodes[i].id == i, in an order in which edges go forward
  std::vector<Edge> edges;

  [[nodiscard]] const Node* find(const std::string& name) const {
    for (const Node& n : nodes) {
      if (n.name == name) return &n;
    }
    return nullptr;
  }
};

}  // namespace tidemill
