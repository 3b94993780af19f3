// The DSL: streams in, streams out. A Stream<T> is a handle on an output of a node in a graph that
// is being described; nothing runs until the environment does. Handles are cheap to copy; a stream
// may be read by any number of consumers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "operators/graph_builder.h"
#include "operators/sink_stage.h"
#include "operators/stateless.h"
#include "operators/window.h"

namespace tidemill {

template <class T, class KeyFn>
class KeyedStream;

template <class T>
class AllWindowedStream;

template <class T>
class BroadcastStream;

template <class Out>
class ProcessResults;

template <class Out, class In>
class ResultsWithLate;

template <class T>
class Stream {
 public:
  using value_type = T;

  Stream(std::shared_ptr<GraphBuilder> graph, std::vector<PortRef> from)
      : graph_(std::move(graph)), from_(std::move(from)) {}

  // F: U(const T&), a member pointer, or anything std::invoke takes.
  template <class F>
  auto map(F f) const {
    using U = std::decay_t<std::invoke_result_t<F&, const T&>>;
    return attach<U>("map", [f](OperatorContext& ctx) {
      return std::make_unique<MapOperator<T, U, F>>(ctx, f);
    });
  }
  // Keeps the records for which `predicate` holds.
  template <class F>
  Stream<T> filter(F predicate) const {
    return attach<T>("filter", [predicate](OperatorContext& ctx) {
      return std::make_unique<FilterOperator<T, F>>(ctx, predicate);
    });
  }
  // F: void(const T&, emit) where emit(U) may be called any number of times.
  template <class U, class F>
  Stream<U> flat_map(F f) const {
    return attach<U>("flat map", [f](OperatorContext& ctx) {
      return std::make_unique<FlatMapOperator<T, U, F>>(ctx, f);
    });
  }

  // Takes each row of a stream that revises itself as an event of its own, for sinks that can only
  // add rows.
  [[nodiscard]] Stream<T> as_events() const {
    Node node;
    node.kind = "as events";
    node.takes_changes_as_events = true;
    node.make_operator = [](OperatorContext& ctx) {
      const auto all = [](const T&) { return true; };
      return std::make_unique<FilterOperator<T, decltype(all)>>(ctx, all);
    };
    const NodeId id = graph_->add(std::move(node));
    graph_->template connect<T>(from_, id);
    return {graph_, {{id, 0}}};
  }

  // Both streams as one; order between them is as they come.
  [[nodiscard]] Stream<T> union_with(const Stream<T>& other) const {
    std::vector<PortRef> all = from_;
    all.insert(all.end(), other.from_.begin(), other.from_.end());
    return {graph_, std::move(all)};
  }

  // KeyFn: K(const T&) or a member pointer; K is an integer, an enum, a string, an EventTime,
  // a pair or tuple of these, or a described struct (state/key_encoding.h).
  template <class KeyFn>
  KeyedStream<T, KeyFn> key_by(KeyFn key) const;  // operators/keyed_stream.h

  // Windows: Tumbling or Sliding, over the whole stream: `aggregate` adds up in every subtask and
  // merges in one.
  template <class Windows>
  AllWindowedStream<T> window_all(Windows windows,
                                  WindowOptions options = {}) const;  // operators/window_all.h

  // The same records, batches in turn over the subtasks: evens out what partitions of unequal size
  // bring. Keys and the order between records are lost.
  [[nodiscard]] Stream<T> rebalance() const {
    const NodeId id = graph_->add(pass_on("rebalance"));
    graph_->template connect_in_turn<T>(from_, id);
    return {graph_, {{id, 0}}};
  }
  // The same records, each in the subtask that `choose` names: std::size_t(const T&, std::size_t
  // subtasks), less than that. For stateless operators and sinks; what keeps keyed state needs
  // key_by.
  template <class Choose>
  [[nodiscard]] Stream<T> partition_by(Choose choose) const {
    const NodeId id = graph_->add(pass_on("partition"));
    graph_->template connect_by<T>(from_, id, choose);
    return {graph_, {{id, 0}}};
  }
  // All records in one subtask, in the order of their times, each once the watermark has passed it
  // (operators/event_time_sort.h). T must be storable. To sort within each key:
  // KeyedStream::sort_by_event_time.
  [[nodiscard]] ResultsWithLate<T, T> sort_by_event_time(
      std::string name) const;  // operators/keyed_stream.h

  // A small stream of which every subtask gets everything; for `connect` of a keyed stream.
  [[nodiscard]] BroadcastStream<T> broadcast() const;  // operators/connected_streams.h

  // An operator of the user's: Op(OperatorContext&, args…), an OneInput<T> or OneReadInput<T> with
  // `using Out`. `name` identifies its state.
  template <class Op, class... Args>
  ProcessResults<typename Op::Out> process(std::string name, Args... args) const {
    const NodeId id =
        graph_->add(stateful(std::move(name), "process", [args...](OperatorContext& ctx) {
          return std::make_unique<Op>(ctx, args...);
        }));
    graph_->template connect<T>(from_, id);
    return {graph_, id};
  }

  // Encode: void(const T&, EventTime, OutputBatch&).
  template <class Encode>
  void sink_to(std::string name, const SinkSpec& spec, Encode encode) const {
    Node node;
    node.name = std::move(name);
    node.kind = spec.kind;
    node.is_stateful = true;
    node.parallelism = spec.parallelism;
    node.is_append_only = spec.is_append_only;
    node.is_sink = true;
    node.parts = spec.parts;
    node.publish = spec.publish;
    node.discard_unpublished = spec.discard_unpublished;
    node.make_operator = [spec, encode](OperatorContext& ctx) {
      return std::make_unique<SinkStage<T, Encode>>(ctx, spec, encode);
    };
    graph_->template connect<T>(from_, graph_->add(std::move(node)));
  }

  [[nodiscard]] const std::shared_ptr<GraphBuilder>& graph() const { return graph_; }
  [[nodiscard]] const std::vector<PortRef>& from() const { return from_; }

 protected:
  static Node stateful(std::string name, std::string kind,
                       std::function<std::unique_ptr<Operator>(OperatorContext&)> make) {
    Node node;
    node.name = std::move(name);
    node.kind = std::move(kind);
    node.is_stateful = true;
    node.make_operator = std::move(make);
    return node;
  }

 private:
  static Node pass_on(std::string kind) {
    Node node;
    node.kind = std::move(kind);
    node.make_operator = [](OperatorContext& ctx) { return std::make_unique<PassOn<T>>(ctx); };
    return node;
  }
  template <class U>
  Stream<U> attach(std::string kind,
                   std::function<std::unique_ptr<Operator>(OperatorContext&)> make) const {
    Node node;
    node.kind = std::move(kind);
    node.make_operator = std::move(make);
    const NodeId id = graph_->add(std::move(node));
    graph_->template connect<T>(from_, id);
    return {graph_, {{id, 0}}};
  }

  std::shared_ptr<GraphBuilder> graph_;
  std::vector<PortRef> from_;
};

// The results of an operator, and the records that came too late for it.
template <class Out, class In>
class ResultsWithLate : public Stream<Out> {
 public:
  ResultsWithLate(std::shared_ptr<GraphBuilder> graph, NodeId node)
      : Stream<Out>(std::move(graph), {{node, 0}}), node_(node) {}

  // Connected or not, late records are counted.
  [[nodiscard]] Stream<In> late() const { return {this->graph(), {{node_, 1}}}; }

 private:
  NodeId node_;
};

// What an operator of the user's gives: the stream is its output 0; further ones go by the names it
// has for them.
template <class Out>
class ProcessResults : public Stream<Out> {
 public:
  ProcessResults(std::shared_ptr<GraphBuilder> graph, NodeId node)
      : Stream<Out>(std::move(graph), {{node, 0}}), node_(node) {}

  // `port`: a constant of the operator, which it gave to OperatorContext::output.
  template <class T>
  [[nodiscard]] Stream<T> side(OutputPort<T> port) const {
    return {this->graph(), {{node_, port.number}}};
  }

 private:
  NodeId node_;
};

}  // namespace tidemill
