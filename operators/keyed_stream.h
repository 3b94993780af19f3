// A stream whose records of one key meet in one subtask.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "operators/aligned_window.h"
#include "operators/process_function.h"
#include "operators/stream.h"

namespace tidemill {

template <class T, class KeyFn>
class WindowedStream;

template <class L, class LeftKey, class R, class RightKey>
class ConnectedStreams;

template <class L, class LeftKey, class R>
class BroadcastConnectedStreams;

template <class T, class KeyFn>
class KeyedStream {
 public:
  using value_type = T;
  using Key = std::decay_t<std::invoke_result_t<const KeyFn&, const T&>>;

  KeyedStream(std::shared_ptr<GraphBuilder> graph, std::vector<PortRef> from, KeyFn key)
      : graph_(std::move(graph)), from_(std::move(from)), key_(std::move(key)) {}

  // F is a process function (operators/process_function.h), built from (StateContext<Key>&, args…),
  // or an operator of the user's: Op(OperatorContext&, args…), an OneInput<T> with `using Out`.
  // `name` identifies its state.
  template <class F, class... Args>
  ProcessResults<typename F::Out> process(std::string name, Args... args) const {
    if constexpr (std::is_base_of_v<Operator, F>) {
      return {graph_, add(std::move(name), "process", [args...](OperatorContext& ctx) {
                return std::make_unique<F>(ctx, args...);
              })};
    } else {
      return {graph_,
              add(std::move(name), "process function", [key = key_, args...](OperatorContext& ctx) {
                return std::make_unique<KeyedProcess<F, T, KeyFn>>(ctx, ProcessOptions{}, key,
                                                                   args...);
              })};
    }
  }

  // Windows: Tumbling or Sliding.
  template <class Windows>
  WindowedStream<T, KeyFn> window(Windows windows, WindowOptions options = {}) const {
    return {*this, AlignedWindows(windows), options};
  }

  // Two streams for one operator with two inputs, where the same keys of both meet
  // (operators/connected_streams.h).
  template <class R, class RightKey>
  ConnectedStreams<T, KeyFn, R, RightKey> connect(const KeyedStream<R, RightKey>& right) const;
  // With a stream of which every subtask gets everything.
  template <class R>
  BroadcastConnectedStreams<T, KeyFn, R> connect(const BroadcastStream<R>& right) const;

  [[nodiscard]] const KeyFn& key() const { return key_; }
  [[nodiscard]] const std::shared_ptr<GraphBuilder>& graph() const { return graph_; }
  [[nodiscard]] const std::vector<PortRef>& from() const { return from_; }

  NodeId add(std::string name, std::string kind,
             std::function<std::unique_ptr<Operator>(OperatorContext&)> make) const {
    Node node;
    node.name = std::move(name);
    node.kind = std::move(kind);
    node.is_stateful = true;
    node.make_operator = std::move(make);
    const NodeId id = graph_->add(std::move(node));
    graph_->template connect_by_key<T>(from_, id, key_);
    return id;
  }

 private:
  std::shared_ptr<GraphBuilder> graph_;
  std::vector<PortRef> from_;
  KeyFn key_;
};

// The results of a windowed aggregate, and the records that came too late for all their windows.
template <class T, class Key, class Result>
class WindowResults : public Stream<Windowed<Key, Result>> {
 public:
  WindowResults(std::shared_ptr<GraphBuilder> graph, NodeId node)
      : Stream<Windowed<Key, Result>>(std::move(graph), {{node, 0}}), node_(node) {}

  // Connected or not, late records are counted.
  [[nodiscard]] Stream<T> late() const { return {this->graph(), {{node_, 1}}}; }

 private:
  NodeId node_;
};

template <class T, class KeyFn>
class WindowedStream {
 public:
  using Key = typename KeyedStream<T, KeyFn>::Key;

  WindowedStream(KeyedStream<T, KeyFn> stream, AlignedWindows windows, WindowOptions options)
      : stream_(std::move(stream)), windows_(windows), options_(options) {}

  // A: an Accumulator of T, or of what `Of<&T::member, A>` picks. `name` identifies the state.
  template <class A>
  auto aggregate(std::string name) const {
    using Op = AlignedWindow<T, A, KeyFn>;
    const auto windows = windows_;
    const auto options = options_;
    const auto key = stream_.key();
    const NodeId id = stream_.add(
        std::move(name), windows.is_tumbling() ? "tumbling window" : "sliding window",
        [=](OperatorContext& ctx) { return std::make_unique<Op>(ctx, windows, options, key); });
    return WindowResults<T, Key, typename Op::Result>(stream_.graph(), id);
  }

 private:
  KeyedStream<T, KeyFn> stream_;
  AlignedWindows windows_;
  WindowOptions options_;
};

template <class T>
template <class KeyFn>
KeyedStream<T, KeyFn> Stream<T>::key_by(KeyFn key) const {
  return {graph_, from_, std::move(key)};
}

}  // namespace tidemill
