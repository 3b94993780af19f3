// Tumbling and sliding aggregates of a whole stream, in parallel: every subtask adds up what comes
// to it, one subtask merges what they have (docs/semantics.md 2).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/describe.hpp>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/accumulator.h"
#include "operators/aligned_window.h"
#include "operators/stream.h"
#include "operators/window.h"
#include "state/key_encoding.h"
#include "state/operator_state.h"
#include "state/windowed_value.h"

namespace tidemill {

// The key of everything.
struct NoKey {
  friend bool operator==(const NoKey&, const NoKey&) = default;
};
BOOST_DESCRIBE_STRUCT(NoKey, (), ())

// The key under which a subtask keeps what it has: a hash of its own first key group, which decides
// who has it after a change of parallelism.
struct GroupOfSubtask {
  std::uint64_t hash = 0;
  friend bool operator==(const GroupOfSubtask&, const GroupOfSubtask&) = default;
};
BOOST_DESCRIBE_STRUCT(GroupOfSubtask, (), (hash))

template <>
struct KeyHash<GroupOfSubtask> {
  static constexpr std::uint64_t of(const GroupOfSubtask& key) { return key.hash; }
};

// What one subtask has of a slice; or one record that was behind its watermark, since only the
// subtask that merges knows whether that is late.
template <class In, class A>
struct Partial {
  A content{};
  std::optional<In> record = std::nullopt;
};

template <class In, class A>
constexpr NoKey key_of_partial(const Partial<In, A>&) {
  return {};
}

// An accumulator of partials.
template <class A>
struct MergedPartials {
  A content{};

  template <class In>
  void add(const Partial<In, A>& partial) {
    content.merge(partial.content);
  }
  void merge(const MergedPartials& other) { content.merge(other.content); }
  [[nodiscard]] auto result() const { return result_of(content); }
  BOOST_DESCRIBE_CLASS(MergedPartials, (), (content), (), ())
};

// The first half. Port 0: Partial<In, A>, at the last instant of its slice, when the watermark
// reaches the slice's end; with `at_once` at the end of each batch, for windows that give early
// rows. Records behind the watermark go on by themselves, at their own time.
//
// State: one accumulator per slice, under the first key group of the subtask, so that after a
// change of parallelism whoever has the group has the slices. Dropped as they are given out.
template <class In, class A>
requires Accumulator<A, In>
class PartialWindow final : public OneReadInput<In> {
  static_assert(std::is_copy_constructible_v<In>,
                "tidemill: windows of a whole stream need records that can be copied.");

 public:
  using Out = Partial<In, A>;

  PartialWindow(OperatorContext& ctx, AlignedWindows windows, bool at_once)
      : windows_(windows),
        at_once_(at_once),
        groups_(ctx.key_groups()),
        slices_(ctx, "slices"),
        watermark_(ctx, "watermark"),
        out_(ctx.output<Out>(0)) {
    *watermark_ = EventTime::min();
    // Until the first one comes: the greatest would take slices for closed that others have open.
    if (const auto& before = watermark_.restored(); !before.empty())
      *watermark_ = *std::min_element(before.begin(), before.end());
  }

  void process(const RowsView<In>& rows) override {
    const GroupOfSubtask own{first_hash_of(groups_.begin, groups_.groups)};
    A* content = nullptr;
    Window slice{};
    for (const auto& row : rows) {
      if (content == nullptr || row.time < slice.start || row.time >= slice.end) {
        slice = windows_.slice_of(row.time);
        content = is_open(slice) ? &slices_.at(slice.end, own, own.hash) : nullptr;
      }
      if (content == nullptr) {
        pass_on(row.value, row.time);
      } else {
        add_to(*content, row.value, Stamp{row.time});
      }
    }
    if (!at_once_) return;
    for (const EventTime end : slices_.namespaces()) give_out(end);
  }

  Progress on_watermark(EventTime watermark) override {
    *watermark_ = std::max(*watermark_, watermark);
    std::size_t given_out = 0;
    for (const EventTime end : slices_.namespaces()) {
      if (end > *watermark_) break;
      if (given_out == kMostAtOnce) return Progress::kMore;
      give_out(end);
      ++given_out;
    }
    return Progress::kDone;
  }

  Progress on_end() override { return on_watermark(EventTime::max()); }

 private:
  static constexpr std::size_t kMostAtOnce = 1024;

  [[nodiscard]] bool is_open(const Window& slice) const {
    return groups_.size() > 0 && slice.start.is_finite() && slice.end.is_finite() &&
           slice.end > *watermark_ && windows_.last_window_of(slice.end).has_value();
  }

  void pass_on(const In& value, EventTime time) {
    A content{};
    add_to(content, value, Stamp{time});
    out_.emit(Out{std::move(content), value}, time);
  }

  void give_out(EventTime end) {
    for (KeyGroup group = groups_.begin; group < groups_.end; ++group) {
      slices_.for_each(end, group, [&](const GroupOfSubtask&, std::uint64_t, const A& content) {
        out_.emit(Out{content}, end - Duration(1));
      });
    }
    slices_.drop(end);
  }

  const AlignedWindows windows_;
  const bool at_once_;
  const KeyGroupRange groups_;
  WindowedValue<GroupOfSubtask, A> slices_;  // by the end of the slice
  OperatorState<EventTime> watermark_;
  Emitter<Out>& out_;
};

// The second half, of which there is one subtask.
template <class In, class A>
using MergingWindow =
    AlignedWindow<Partial<In, A>, MergedPartials<A>, NoKey (*)(const Partial<In, A>&)>;

// One row per window, Windowed<NoKey, Result>, and the records that came too late for all theirs.
template <class T, class A>
class AllWindowResults : public Stream<typename MergingWindow<T, A>::Out> {
 public:
  AllWindowResults(std::shared_ptr<GraphBuilder> graph, NodeId merging)
      : Stream<typename MergingWindow<T, A>::Out>(std::move(graph), {{merging, 0}}),
        merging_(merging) {}

  // Connected or not, late records are counted.
  [[nodiscard]] Stream<T> late() const {
    const Stream<Partial<T, A>> late(this->graph(), {{merging_, 1}});
    return late.template flat_map<T>([](const Partial<T, A>& partial, auto&& emit) {
      if (partial.record) emit(*partial.record);
    });
  }

 private:
  NodeId merging_;
};

template <class T>
class AllWindowedStream {
 public:
  AllWindowedStream(Stream<T> stream, AlignedWindows windows, WindowOptions options)
      : stream_(std::move(stream)), windows_(windows), options_(options) {}

  // A: an Accumulator of T, or of what `Of<&T::member, A>` picks. `name` identifies the state; the
  // subtasks' own is that of NAME.partials.
  template <class A>
  auto aggregate(const std::string& name) const {
    using Merging = MergingWindow<T, A>;
    const auto windows = windows_;
    const auto options = options_;
    const bool at_once = options.early || options.early_processing || options.on_update;
    const auto& graph = stream_.graph();
    const NodeId partials = add(name + ".partials", "partial window", 0, [=](OperatorContext& ctx) {
      return std::make_unique<PartialWindow<T, A>>(ctx, windows, at_once);
    });
    graph->template connect<T>(stream_.from(), partials);
    const NodeId merging = add(name, "merging window", 1, [=](OperatorContext& ctx) {
      return std::make_unique<Merging>(ctx, windows, options, &key_of_partial<T, A>);
    });
    graph->template connect<Partial<T, A>>({{partials, 0}}, merging);
    graph->note_revises(merging, revision_of(options_));
    return AllWindowResults<T, A>(graph, merging);
  }

 private:
  NodeId add(std::string name, std::string kind, int parallelism,
             std::function<std::unique_ptr<Operator>(OperatorContext&)> make) const {
    Node node;
    node.name = std::move(name);
    node.kind = std::move(kind);
    node.is_stateful = true;
    node.parallelism = parallelism;
    node.make_operator = std::move(make);
    return stream_.graph()->add(std::move(node));
  }

  Stream<T> stream_;
  AlignedWindows windows_;
  WindowOptions options_;
};

template <class T>
template <class Windows>
AllWindowedStream<T> Stream<T>::window_all(Windows windows, WindowOptions options) const {
  return {*this, AlignedWindows(windows), options};
}

}  // namespace tidemill
