// Two streams into one operator: two keyed ones, whose equal keys meet in one subtask and share its
// keyed state, or a keyed one and a broadcast one.
//
//   orders.key_by(&Order::user).connect(blocks.key_by(&Block::user)).process<Gate>("gate");
//   orders.key_by(&Order::user).connect(rules.broadcast()).process<ApplyRules>("rules");
//
// Handles, as streams are; nothing runs until the environment does.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/operator/operator.h"
#include "operators/keyed_stream.h"
#include "operators/stream.h"

namespace tidemill {

// What Stream::broadcast gives: a small stream, copied to every subtask of what it is connected to.
template <class T>
class BroadcastStream {
 public:
  using value_type = T;

  explicit BroadcastStream(Stream<T> stream) : stream_(std::move(stream)) {}

  [[nodiscard]] const std::vector<PortRef>& from() const { return stream_.from(); }

 private:
  Stream<T> stream_;
};

template <class L, class LeftKey, class R, class RightKey>
class ConnectedStreams {
 public:
  using Left = KeyedStream<L, LeftKey>;
  using Right = KeyedStream<R, RightKey>;
  using Key = typename Left::Key;
  static_assert(std::is_same_v<Key, typename Right::Key>,
                "tidemill: both sides must have keys of one type, so that equal ones meet.");

  ConnectedStreams(Left left, Right right) : left_(std::move(left)), right_(std::move(right)) {}

  // A process function with process_left and process_right (operators/process_function.h), built
  // from (StateContext<Key>&, args…), or an operator of the user's: Op(OperatorContext&, args…), a
  // TwoInput<L, R>. Both with `using Out`. `name` identifies its state.
  template <class Op, class... Args>
  ProcessResults<typename Op::Out> process(std::string name, Args... args) const {
    if constexpr (std::is_base_of_v<Operator, Op>) {
      static_assert(std::is_base_of_v<TwoInput<L, R>, Op>,
                    "tidemill: connected streams need an operator derived from TwoInput<L, R>.");
      return {left_.graph(), add(std::move(name), "process", [args...](OperatorContext& ctx) {
                return std::make_unique<Op>(ctx, args...);
              })};
    } else {
      using CoProcess = KeyedCoProcess<Op, L, R, LeftKey, RightKey>;
      return {left_.graph(),
              add(std::move(name), "process function",
                  [left = left_.key(), right = right_.key(), args...](OperatorContext& ctx) {
                    return std::make_unique<CoProcess>(ctx, ProcessOptions{}, left, right, args...);
                  })};
    }
  }

  NodeId add(std::string name, std::string kind,
             std::function<std::unique_ptr<Operator>(OperatorContext&)> make) const {
    const NodeId id = left_.add(std::move(name), std::move(kind), std::move(make));
    left_.graph()->template connect_by_key<R>(right_.from(), id, right_.key(), 1);
    return id;
  }
  [[nodiscard]] const Left& left() const { return left_; }
  [[nodiscard]] const Right& right() const { return right_; }

 private:
  Left left_;
  Right right_;
};

// The right input carries no key: what its operator keeps of it is broadcast state
// (state/broadcast_state.h), alike in all subtasks, which the keyed side reads only.
template <class L, class LeftKey, class R>
class BroadcastConnectedStreams {
 public:
  BroadcastConnectedStreams(KeyedStream<L, LeftKey> left, BroadcastStream<R> right)
      : left_(std::move(left)), right_(std::move(right)) {}

  // As ConnectedStreams::process. What process_right changes must follow from the broadcast records
  // alone, and not from what this subtask has seen of the left ones.
  template <class Op, class... Args>
  ProcessResults<typename Op::Out> process(std::string name, Args... args) const {
    static_assert(std::is_base_of_v<TwoInput<L, R>, Op>,
                  "tidemill: connected streams need an operator derived from TwoInput<L, R>.");
    const NodeId id = left_.add(std::move(name), "process", [args...](OperatorContext& ctx) {
      return std::make_unique<Op>(ctx, args...);
    });
    left_.graph()->template connect_broadcast<R>(right_.from(), id, 1);
    return {left_.graph(), id};
  }

 private:
  KeyedStream<L, LeftKey> left_;
  BroadcastStream<R> right_;
};

template <class T>
BroadcastStream<T> Stream<T>::broadcast() const {
  return BroadcastStream<T>(*this);
}

template <class T, class KeyFn>
template <class R, class RightKey>
ConnectedStreams<T, KeyFn, R, RightKey> KeyedStream<T, KeyFn>::connect(
    const KeyedStream<R, RightKey>& right) const {
  return {*this, right};
}

template <class T, class KeyFn>
template <class R>
BroadcastConnectedStreams<T, KeyFn, R> KeyedStream<T, KeyFn>::connect(
    const BroadcastStream<R>& right) const {
  return {*this, right};
}

}  // namespace tidemill
