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
#include "operators/global_window.h"
#include "operators/join.h"
#include "operators/process_function.h"
#include "operators/processing_window.h"
#include "operators/running_aggregate.h"
#include "operators/session_window.h"
#include "operators/stream.h"
#include "operators/top_n.h"

namespace tidemill {

template <class T, class KeyFn>
class WindowedStream;
template <class T, class KeyFn, Revisions kRevisions = Revisions::kChanges>
class SessionStream;
template <class T, class KeyFn, class Windows>
class CountedStream;
template <class T, class KeyFn>
class ProcessingWindowedStream;

template <class L, class LeftKey, class R, class RightKey>
class ConnectedStreams;

template <class L, class LeftKey, class R>
class BroadcastConnectedStreams;

template <JoinType Type, class L, class LeftKey, class R, class RightKey>
class JoinedStreams;
template <class L, class LeftKey, class R, class RightKey>
class CoGroupedStreams;
template <JoinType Type, class L, class LeftKey, class R, class RightKey>
class IntervalJoinedStreams;
template <JoinType Type, class L, class LeftKey, class R, class RightKey>
class AsofJoinedStreams;

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

  // `.aggregate<A>(name)` of what these give is a stream of rows.
  WindowedStream<T, KeyFn> window(Tumbling windows, WindowOptions options = {}) const {
    return {*this, AlignedWindows(windows), options};
  }
  WindowedStream<T, KeyFn> window(Sliding windows, WindowOptions options = {}) const {
    return {*this, AlignedWindows(windows), options};
  }
  // Sessions that grow revise what was given out of them: its rows are changes.
  SessionStream<T, KeyFn> window(Session session, WindowOptions options = {}) const {
    return {*this, session, options};
  }
  CountedStream<T, KeyFn, CountWindow> window(CountWindow window) const { return {*this, window}; }
  CountedStream<T, KeyFn, EveryN> window(EveryN window) const { return {*this, window}; }
  // By the clock, not by event time.
  ProcessingWindowedStream<T, KeyFn> window(ProcessingTumbling windows) const {
    return {*this, windows};
  }

  // Of all records of a key so far, as a stream of changes; a row for each key of a batch. A: an
  // Accumulator of T, or of what `Of<&T::member, A>` picks. `name` identifies the state.
  template <class A>
  auto aggregate(std::string name, RunningOptions options = {}) const {
    using Op = RunningAggregate<T, A, KeyFn>;
    const auto key = key_;
    const MakeOperator make = [=](OperatorContext& ctx) {
      return std::make_unique<Op>(ctx, options, key);
    };
    const char* kind = "running aggregate";
    // Times do not matter here: one slice for all.
    const AlignedWindows all_time(Tumbling{Duration::max() / 4});
    const NodeId id = options.pre_aggregates && !options.ttl
                          ? add_pre_aggregated<T, A>(*graph_, from_, std::move(name), kind, make,
                                                     all_time, SendPartials::kEachWatermark, key)
                          : add(std::move(name), kind, make);
    graph_->note_revises(id, "gives a new row of a key with each batch");
    return Stream<typename Op::Out>(graph_, {{id, 0}});
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
    graph_->note_revises(id, "gives the last record of a key again");
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
    graph_->note_revises(id, "gives ranks again");
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

  // Joins (operators/joined_streams.h). Per window, or without one for all time.
  template <JoinType Type = JoinType::kInner, class R, class RightKey>
  JoinedStreams<Type, T, KeyFn, R, RightKey> join(const KeyedStream<R, RightKey>& right) const;
  // What both sides have of a key in a window, together.
  template <class R, class RightKey>
  CoGroupedStreams<T, KeyFn, R, RightKey> co_group(const KeyedStream<R, RightKey>& right) const;
  // Pairs whose times differ by no more than bounds allow.
  template <JoinType Type = JoinType::kInner, class R, class RightKey>
  IntervalJoinedStreams<Type, T, KeyFn, R, RightKey> interval_join(
      const KeyedStream<R, RightKey>& right) const;
  // Each record with the newest version of its key at its time. kInner or kLeft.
  template <JoinType Type = JoinType::kInner, class R, class RightKey>
  AsofJoinedStreams<Type, T, KeyFn, R, RightKey> as_of_join(
      const KeyedStream<R, RightKey>& versions) const;

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
  WindowedStream(KeyedStream<T, KeyFn> stream, AlignedWindows windows, WindowOptions options)
      : stream_(std::move(stream)), windows_(windows), options_(options) {}

  // A: an Accumulator of T, or of what `Of<&T::member, A>` picks. `name` identifies the state.
  template <class A>
  auto aggregate(std::string name) const {
    using Op = AlignedWindow<T, A, KeyFn>;
    const auto windows = windows_;
    const auto options = options_;
    const auto key = stream_.key();
    const MakeOperator make = [=](OperatorContext& ctx) {
      return std::make_unique<Op>(ctx, windows, options, key);
    };
    const char* kind = windows.is_tumbling() ? "tumbling window" : "sliding window";
    const NodeId id =
        options.pre_aggregates
            ? add_pre_aggregated<T, A>(*stream_.graph(), stream_.from(), std::move(name), kind,
                                       make, windows, partials_of(options), key)
            : stream_.add(std::move(name), kind, make);
    stream_.graph()->note_revises(id, revision_of(options_));
    return ResultsWithLate<typename Op::Out, T>(stream_.graph(), id);
  }

 private:
  KeyedStream<T, KeyFn> stream_;
  AlignedWindows windows_;
  WindowOptions options_;
};

template <class T, class KeyFn, Revisions kRevisions>
class SessionStream {
 public:
  SessionStream(KeyedStream<T, KeyFn> stream, Session session, WindowOptions options)
      : stream_(std::move(stream)), session_(session), options_(options) {}

  // Rows instead of changes: one that no longer holds, because its session has grown, is not
  // deleted. For sinks that only append.
  [[nodiscard]] SessionStream<T, KeyFn, Revisions::kAppendOnly> append_only() const {
    return {stream_, session_, options_};
  }

  // As WindowedStream::aggregate. Gives Change<Windowed<Key, Result>>, append_only
  // Windowed<Key, Result>.
  template <class A>
  auto aggregate(std::string name) const {
    using Op = SessionWindow<T, A, KeyFn, FinishWithResult, kRevisions>;
    const auto session = session_;
    const auto options = options_;
    const auto key = stream_.key();
    const NodeId id = stream_.add(std::move(name), "session window", [=](OperatorContext& ctx) {
      return std::make_unique<Op>(ctx, session, options, key);
    });
    if (kRevisions != Revisions::kAppendOnly)
      stream_.graph()->note_revises(id, revision_of(options_));
    return ResultsWithLate<typename Op::Out, T>(stream_.graph(), id);
  }

 private:
  KeyedStream<T, KeyFn> stream_;
  Session session_;
  WindowOptions options_;
};

// Windows: CountWindow or EveryN.
template <class T, class KeyFn, class Windows>
class CountedStream {
 public:
  CountedStream(KeyedStream<T, KeyFn> stream, Windows windows)
      : stream_(std::move(stream)), windows_(windows) {}

  // As WindowedStream::aggregate. Gives Keyed<Key, Result>.
  template <class A>
  auto aggregate(std::string name) const {
    using Op = GlobalWindow<T, A, KeyFn>;
    const auto windows = windows_;
    const auto key = stream_.key();
    const NodeId id = stream_.add(std::move(name), "global window", [=](OperatorContext& ctx) {
      return std::make_unique<Op>(ctx, windows, key);
    });
    return Stream<typename Op::Out>(stream_.graph(), {{id, 0}});
  }

 private:
  KeyedStream<T, KeyFn> stream_;
  Windows windows_;
};

template <class T, class KeyFn>
class ProcessingWindowedStream {
 public:
  ProcessingWindowedStream(KeyedStream<T, KeyFn> stream, ProcessingTumbling windows)
      : stream_(std::move(stream)), windows_(windows) {}

  // As WindowedStream::aggregate. Gives Windowed<Key, Result>, the window by the clock.
  template <class A>
  auto aggregate(std::string name) const {
    using Op = ProcessingWindow<T, A, KeyFn>;
    const auto windows = windows_;
    const auto key = stream_.key();
    const NodeId id =
        stream_.add(std::move(name), "processing-time window", [=](OperatorContext& ctx) {
          return std::make_unique<Op>(ctx, windows, WindowOptions{}.firing_budget, key);
        });
    return Stream<typename Op::Out>(stream_.graph(), {{id, 0}});
  }

 private:
  KeyedStream<T, KeyFn> stream_;
  ProcessingTumbling windows_;
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
