// A stream whose records of one key meet in one subtask.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "operators/aligned_window.h"
#include "operators/changelog.h"
#include "operators/dedup.h"
#include "operators/event_time_sort.h"
#include "operators/process_function.h"
#include "operators/stream.h"
#include "operators/top_n.h"

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

  // The first record of each key, for ever or `within` a time of the one before
  // (operators/dedup.h).
  [[nodiscard]] ResultsWithLate<T, T> dedup_first(
      std::string name, std::optional<Duration> within = std::nullopt) const {
    return {graph_, add(std::move(name), "dedup first", [within, key = key_](OperatorContext& ctx) {
              return std::make_unique<DedupFirst<T, KeyFn>>(ctx, DedupOptions{.within = within},
                                                            key);
            })};
  }
  // The last record of each key: a changelog (operators/dedup.h).
  [[nodiscard]] Stream<Change<T>> dedup_last(std::string name) const {
    const NodeId id = add(std::move(name), "dedup last", [key = key_](OperatorContext& ctx) {
      return std::make_unique<DedupLast<T, KeyFn>>(ctx, key);
    });
    return {graph_, {{id, 0}}};
  }
  // The n best records of each key by `value_of`: a changelog of ranks (operators/top_n.h).
  // `row_of` picks what is shown at a rank, else the record.
  template <class ValueOf, class RowOf = WholeRecord>
  auto top_n(std::string name, std::size_t n, ValueOf value_of,
             RankOrder order = RankOrder::kDescending, RowOf row_of = {}) const {
    using Op = TopNPerKey<T, KeyFn, ValueOf, RowOf>;
    const NodeId id = add(std::move(name), "top n", [=, key = key_](OperatorContext& ctx) {
      return std::make_unique<Op>(ctx, n, order, key, value_of, row_of);
    });
    return Stream<typename Op::Out>(graph_, {{id, 0}});
  }
  // The records of each key in the order of their times (operators/event_time_sort.h).
  [[nodiscard]] ResultsWithLate<T, T> sort_by_event_time(std::string name) const {
    return {graph_, add(std::move(name), "sort", [key = key_](OperatorContext& ctx) {
              return std::make_unique<EventTimeSort<T, KeyFn>>(ctx, key);
            })};
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
    return ResultsWithLate<typename Op::Out, T>(stream_.graph(), id);
  }

 private:
  KeyedStream<T, KeyFn> stream_;
  AlignedWindows windows_;
  WindowOptions options_;
};

template <class T>
ResultsWithLate<T, T> Stream<T>::sort_by_event_time(std::string name) const {
  return key_by([](const T&) { return std::uint32_t{0}; }).sort_by_event_time(std::move(name));
}

template <class T>
template <class KeyFn>
KeyedStream<T, KeyFn> Stream<T>::key_by(KeyFn key) const {
  return {graph_, from_, std::move(key)};
}

}  // namespace tidemill
