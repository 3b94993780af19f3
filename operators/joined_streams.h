// The joins of the DSL. Both sides are keyed streams whose keys have one type.
//
//   orders.join(payments).window(Tumbling{10min}).apply("paid", MakePaid{})
//   orders.interval_join<JoinType::kLeft>(payments).between(-1min, 1h).apply("paid", MakePaid{})
//   orders.as_of_join<JoinType::kLeft>(rates).apply("in euro", Convert{})
//   people.join(auctions).apply("sellers", MakeSeller{})              without a window: rows for
//   ever people.join<JoinType::kOuter>(auctions).apply("sellers", …)       a changelog: Change<Row>
//   clicks.co_group(buys).window(Sliding{1h, 5min}).apply<Funnel>("funnel", MakeFunnel{})
//
// Names identify the state. Handles, as streams are; nothing runs until the environment does.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "operators/asof_join.h"
#include "operators/connected_streams.h"
#include "operators/equi_join.h"
#include "operators/interval_join.h"
#include "operators/keyed_stream.h"
#include "operators/stream.h"
#include "operators/window_join.h"

namespace tidemill {

// The rows of a join, and the records of either side that came too late. Connected or not, late
// records are counted.
template <class Row, class L, class R>
class JoinResults : public Stream<Row> {
 public:
  JoinResults(std::shared_ptr<GraphBuilder> graph, NodeId node)
      : Stream<Row>(std::move(graph), {{node, 0}}), node_(node) {}

  [[nodiscard]] Stream<L> late_left() const { return {this->graph(), {{node_, 1}}}; }
  [[nodiscard]] Stream<R> late_right() const { return {this->graph(), {{node_, 2}}}; }

 private:
  NodeId node_;
};

// Adds the operator Op(ctx, first, left key, right key, rest…) behind both sides.
template <class Op, class Streams, class First, class... Rest>
NodeId add_join(const Streams& streams, std::string name, std::string kind, First first,
                Rest... rest) {
  return streams.add(std::move(name), std::move(kind),
                     [first, left = streams.left().key(), right = streams.right().key(),
                      rest...](OperatorContext& ctx) -> std::unique_ptr<Operator> {
                       return std::make_unique<Op>(ctx, first, left, right, rest...);
                     });
}

template <class L, class LeftKey, class R, class RightKey>
class WindowJoinedStreams {
 public:
  WindowJoinedStreams(ConnectedStreams<L, LeftKey, R, RightKey> streams, AlignedWindows windows)
      : streams_(std::move(streams)), windows_(windows) {}

  // F: Row(const L&, const R&), for each pair of a window.
  template <class F>
  auto apply(std::string name, F f) const {
    using Op = WindowJoin<L, R, LeftKey, RightKey, F>;
    const NodeId id =
        add_join<Op>(streams_, std::move(name), "window join", windows_, EachPair<F>{std::move(f)});
    return JoinResults<typename Op::Out, L, R>(streams_.left().graph(), id);
  }

 private:
  ConnectedStreams<L, LeftKey, R, RightKey> streams_;
  AlignedWindows windows_;
};

template <class L, class LeftKey, class R, class RightKey>
class WindowCoGroupedStreams {
 public:
  WindowCoGroupedStreams(ConnectedStreams<L, LeftKey, R, RightKey> streams, AlignedWindows windows)
      : streams_(std::move(streams)), windows_(windows) {}

  // F: void(const CoGroup<Key, L, R>&, emit), where emit(Row) may be called any number of times.
  template <class Row, class F>
  auto apply(std::string name, F f) const {
    using Op = WindowCoGroup<L, R, LeftKey, RightKey, Row, F>;
    const NodeId id =
        add_join<Op>(streams_, std::move(name), "window co-group", windows_, std::move(f));
    return JoinResults<typename Op::Out, L, R>(streams_.left().graph(), id);
  }

 private:
  ConnectedStreams<L, LeftKey, R, RightKey> streams_;
  AlignedWindows windows_;
};

template <class L, class LeftKey, class R, class RightKey>
class CoGroupedStreams {
 public:
  explicit CoGroupedStreams(ConnectedStreams<L, LeftKey, R, RightKey> streams)
      : streams_(std::move(streams)) {}

  // Windows: Tumbling or Sliding.
  template <class Windows>
  WindowCoGroupedStreams<L, LeftKey, R, RightKey> window(Windows windows) const {
    return {streams_, AlignedWindows(windows)};
  }

 private:
  ConnectedStreams<L, LeftKey, R, RightKey> streams_;
};

template <JoinType Type, class L, class LeftKey, class R, class RightKey>
class JoinedStreams {
 public:
  explicit JoinedStreams(ConnectedStreams<L, LeftKey, R, RightKey> streams)
      : streams_(std::move(streams)) {}

  // Windows: Tumbling or Sliding.
  template <class Windows>
  WindowJoinedStreams<L, LeftKey, R, RightKey> window(Windows windows) const {
    static_assert(Type == JoinType::kInner,
                  "tidemill: a window join is inner; use co_group to see what has no partner.");
    return {streams_, AlignedWindows(windows)};
  }

  // Without a window. F: see JoinRows.
  template <class F = MakeJoined>
  auto apply(std::string name, F f = {}, EquiJoinOptions options = {}) const {
    using Op = EquiJoin<Type, L, R, LeftKey, RightKey, F>;
    const NodeId id = add_join<Op>(streams_, std::move(name), "join", options, std::move(f));
    if (Type != JoinType::kInner)
      streams_.left().graph()->note_revises(id, "takes rows without a partner back when one comes");
    return Stream<typename Op::Out>(streams_.left().graph(), {{id, 0}});
  }

 private:
  ConnectedStreams<L, LeftKey, R, RightKey> streams_;
};

template <JoinType Type, class L, class LeftKey, class R, class RightKey>
class BoundedJoinedStreams {
 public:
  BoundedJoinedStreams(ConnectedStreams<L, LeftKey, R, RightKey> streams, Duration lower,
                       Duration upper)
      : streams_(std::move(streams)), options_{lower, upper, Type} {}

  // F: see JoinRows.
  template <class F = MakeJoined>
  auto apply(std::string name, F f = {}) const {
    using Op = IntervalJoin<L, R, LeftKey, RightKey, F>;
    const NodeId id =
        add_join<Op>(streams_, std::move(name), "interval join", options_, std::move(f));
    return JoinResults<typename Op::Out, L, R>(streams_.left().graph(), id);
  }

 private:
  ConnectedStreams<L, LeftKey, R, RightKey> streams_;
  IntervalJoinOptions options_;
};

template <JoinType Type, class L, class LeftKey, class R, class RightKey>
class IntervalJoinedStreams {
 public:
  explicit IntervalJoinedStreams(ConnectedStreams<L, LeftKey, R, RightKey> streams)
      : streams_(std::move(streams)) {}

  // Pairs with left + lower <= right <= left + upper.
  BoundedJoinedStreams<Type, L, LeftKey, R, RightKey> between(Duration lower,
                                                              Duration upper) const {
    return {streams_, lower, upper};
  }

 private:
  ConnectedStreams<L, LeftKey, R, RightKey> streams_;
};

template <JoinType Type, class L, class LeftKey, class R, class RightKey>
class AsofJoinedStreams {
 public:
  explicit AsofJoinedStreams(ConnectedStreams<L, LeftKey, R, RightKey> streams)
      : streams_(std::move(streams)) {}

  // F: see JoinRows. IsDelete: bool(const R&), for versions that say there is none from now on.
  template <class F = MakeJoined, class IsDelete = DeletesOfChanges>
  auto apply(std::string name, F f = {}, IsDelete is_delete = {}) const {
    using Op = AsofJoin<L, R, LeftKey, RightKey, F, IsDelete>;
    const NodeId id = add_join<Op>(streams_, std::move(name), "as-of join", AsofJoinOptions{Type},
                                   std::move(f), std::move(is_delete));
    return JoinResults<typename Op::Out, L, R>(streams_.left().graph(), id);
  }

 private:
  ConnectedStreams<L, LeftKey, R, RightKey> streams_;
};

template <class T, class KeyFn>
template <JoinType Type, class R, class RightKey>
JoinedStreams<Type, T, KeyFn, R, RightKey> KeyedStream<T, KeyFn>::join(
    const KeyedStream<R, RightKey>& right) const {
  return JoinedStreams<Type, T, KeyFn, R, RightKey>(connect(right));
}

template <class T, class KeyFn>
template <class R, class RightKey>
CoGroupedStreams<T, KeyFn, R, RightKey> KeyedStream<T, KeyFn>::co_group(
    const KeyedStream<R, RightKey>& right) const {
  return CoGroupedStreams<T, KeyFn, R, RightKey>(connect(right));
}

template <class T, class KeyFn>
template <JoinType Type, class R, class RightKey>
IntervalJoinedStreams<Type, T, KeyFn, R, RightKey> KeyedStream<T, KeyFn>::interval_join(
    const KeyedStream<R, RightKey>& right) const {
  return IntervalJoinedStreams<Type, T, KeyFn, R, RightKey>(connect(right));
}

template <class T, class KeyFn>
template <JoinType Type, class R, class RightKey>
AsofJoinedStreams<Type, T, KeyFn, R, RightKey> KeyedStream<T, KeyFn>::as_of_join(
    const KeyedStream<R, RightKey>& versions) const {
  static_assert(!pads_right(Type), "tidemill: an as-of join is inner or left.");
  return AsofJoinedStreams<Type, T, KeyFn, R, RightKey>(connect(versions));
}

}  // namespace tidemill
