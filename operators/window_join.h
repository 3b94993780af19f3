// Window joins and co-groups: what both sides have of a key in a tumbling or sliding window meets
// when the window closes (docs/semantics.md 4).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/describe.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/batch_keys.h"
#include "operators/late_records.h"
#include "operators/row_list.h"
#include "operators/window.h"
#include "state/operator_state.h"
#include "state/windowed_value.h"

namespace tidemill {

// What both sides have of one key in one window, each in the order of time; one of them may have
// nothing.
template <class Key, class L, class R>
struct CoGroup {
  const Key& key;
  Window window;
  const std::vector<L>& left;
  const std::vector<R>& right;
};

// F: void(const CoGroup<Key, L, R>&, emit), which calls emit(Row) any number of times.
// Port 0: Windowed<Key, Row> at the window's last instant. Ports 1 and 2: left and right records
// all of whose windows are closed, as they came; there is no lateness beyond that.
//
// State: each record once, in its slice, until the last window of the slice is closed. A firing
// goes window by window, key group by key group (each has a clock), and holds what one group has in
// one window in memory.
template <class L, class R, class LeftKey, class RightKey, class Row, class F>
class WindowCoGroup final : public TwoInput<L, R> {
 public:
  using Key = typename BatchKeys<L, LeftKey>::Key;
  using Out = Windowed<Key, Row>;
  static constexpr OutputPort<L> kLateLeft{1};
  static constexpr OutputPort<R> kLateRight{2};

  // Throws Error(kConfig) if the checkpoint was made with other windows. `firing_budget`: rows
  // after which a firing lets other messages pass.
  WindowCoGroup(OperatorContext& ctx, AlignedWindows windows, LeftKey left_key, RightKey right_key,
                F f, std::size_t firing_budget = 4096)
      : windows_(windows),
        f_(std::move(f)),
        firing_budget_(firing_budget),
        groups_(ctx.key_groups()),
        left_(ctx, "left", std::move(left_key), kLateLeft),
        right_(ctx, "right", std::move(right_key), kLateRight),
        done_(ctx, "done"),
        progress_(ctx, "progress"),
        windowless_count_(ctx.counter("tidemill_records_in_no_window_total")),
        out_(ctx.output<Out>(0)) {
    restore(ctx.name());
    for (const EventTime end : left_.slices.namespaces()) slice_ends_.insert(end);
    for (const EventTime end : right_.slices.namespaces()) slice_ends_.insert(end);
  }

  void process_left(Batch<L>& batch) override { process(left_, batch); }
  void process_right(Batch<R>& batch) override { process(right_, batch); }

  Progress on_watermark(EventTime watermark) override {
    progress_->watermark = std::max(progress_->watermark, watermark);
    return fire();
  }
  Progress on_end() override { return on_watermark(EventTime::max()); }

 private:
  template <class T, class KeyOf>
  struct Side {
    using Value = T;
    Side(OperatorContext& ctx, const std::string& name, KeyOf key_of, OutputPort<T> late_port)
        : keys(std::move(key_of)), slices(ctx, name), late(ctx, late_port, name) {}

    BatchKeys<T, KeyOf> keys;
    WindowedValue<Key, RowList<T>> slices;  // by the end of the slice
    LateRecords<T> late;
  };
  struct OperatorProgress {
    EventTime watermark = EventTime::min();
    Duration size{};
    Duration slide{};
    Duration offset{};
    BOOST_DESCRIBE_CLASS(OperatorProgress, (), (watermark, size, slide, offset), (), ())
  };
  struct HashedKey {
    Key key;
    std::uint64_t hash;
    friend bool operator==(const HashedKey& x, const HashedKey& y) {
      return x.hash == y.hash && x.key == y.key;
    }
  };
  struct HashOf {
    std::size_t operator()(const HashedKey& key) const {
      return static_cast<std::size_t>(key.hash);
    }
  };
  // The rows of a batch that fall in one slice.
  struct SliceRows {
    Window slice;
    EventTime first_end;  // of the windows that hold the slice
    EventTime last_end;
    std::vector<std::uint32_t> rows;
    std::vector<KeyRef<Key>> refs;
  };
  struct Contents {
    std::vector<L> left;
    std::vector<R> right;
  };

  void restore(const std::string& name) {
    progress_->size = windows_.size();
    progress_->slide = windows_.slide();
    progress_->offset = windows_.offset();
    for (const OperatorProgress& former : progress_.restored()) {
      if (std::tie(former.size, former.slide, former.offset) !=
          std::tie(progress_->size, progress_->slide, progress_->offset)) {
        throw Error(
            ErrorCode::kConfig,
            "the checkpoint was made with other windows; keep size, slide and offset as they were, "
            "or give the operator another name: " +
                name);
      }
      progress_->watermark = std::max(progress_->watermark, former.watermark);
    }
  }

  template <class S, class T>
  void process(S& side, Batch<T>& batch) {
    const std::span<const KeyRef<Key>> refs = side.keys.read(batch);
    if (const std::optional<EventTime> end = only_slice_of(batch)) {
      slice_ends_.insert(*end);
      side.slices.update(*end, refs, [&](std::size_t i, RowList<T>& list) {
        list.insert(batch[i].time, false, std::move(batch[i].value));
      });
      return;
    }
    sort_into_slices(side, batch, refs);
    for (const SliceRows& slice : slices_of_batch_) {
      if (slice.refs.empty()) continue;
      slice_ends_.insert(slice.slice.end);
      side.slices.update(slice.slice.end, slice.refs, [&](std::size_t i, RowList<T>& list) {
        Record<T>& record = batch[slice.rows[i]];
        list.insert(record.time, false, std::move(record.value));
      });
    }
    slices_of_batch_.clear();
  }

  // The end of the slice in which all rows of the batch are, if they are in one and no window that
  // holds it may have been closed. Most batches are such.
  template <class T>
  [[nodiscard]] std::optional<EventTime> only_slice_of(const Batch<T>& batch) const {
    if (batch.empty()) return std::nullopt;
    const Window slice = windows_.slice_of(batch[0].time);
    if (!slice.start.is_finite() || !slice.end.is_finite() || !windows_.last_window_of(slice.end) ||
        windows_.first_end_of(slice.end) <= progress_->watermark)
      return std::nullopt;
    for (const Record<T>& record : batch) {
      if (record.time < slice.start || record.time >= slice.end) return std::nullopt;
    }
    return slice.end;
  }

  template <class S, class T>
  void sort_into_slices(S& side, Batch<T>& batch, std::span<const KeyRef<Key>> refs) {
    const bool is_behind = done_.min() < progress_->watermark;
    SliceRows* slice = nullptr;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const EventTime time = batch[i].time;
      if (slice == nullptr || time < slice->slice.start || time >= slice->slice.end)
        slice = find_rows(time);
      if (slice == nullptr) {
        windowless_count_.add();
        continue;
      }
      if (progress_->watermark >= slice->last_end) {
        side.late.give(std::move(batch[i].value), time, progress_->watermark, side.keys);
        continue;
      }
      if (is_behind && slice->first_end <= progress_->watermark) catch_up(refs[i].hash);
      slice->rows.push_back(static_cast<std::uint32_t>(i));
      slice->refs.push_back(refs[i]);
    }
  }

  // Null: the record falls in no window.
  SliceRows* find_rows(EventTime time) {
    for (SliceRows& slice : slices_of_batch_) {
      if (time >= slice.slice.start && time < slice.slice.end) return &slice;
    }
    const Window bounds = windows_.slice_of(time);
    const std::optional<Window> last = windows_.last_window_of(bounds.end);
    if (!last || !bounds.start.is_finite() || !bounds.end.is_finite()) return nullptr;
    slices_of_batch_.push_back({bounds, windows_.first_end_of(bounds.end), last->end, {}, {}});
    return &slices_of_batch_.back();
  }

  // A firing is not finished and has not come to this group: what it still owes must not see the
  // record.
  void catch_up(std::uint64_t hash) {
    const KeyGroup group = key_group_of(hash, groups_.groups);
    while (done_[group] < progress_->watermark)
      fire_next(group, windows_.next_end(slice_ends_, done_[group]));
  }

  // Window after window, group after group, until the watermark or the budget is reached.
  Progress fire() {
    const EventTime watermark = progress_->watermark;
    given_out_ = 0;
    for (EventTime from = done_.min(); from < watermark; from = done_.min()) {
      const std::optional<EventTime> end = windows_.next_end(slice_ends_, from);
      const EventTime goal = end && *end <= watermark ? *end : watermark;
      for (KeyGroup group = groups_.begin; group < groups_.end; ++group) {
        if (done_[group] >= goal) continue;
        fire_next(group, end);
        if (given_out_ >= firing_budget_ && done_.min() < watermark) return Progress::kMore;
      }
    }
    while (!slice_ends_.empty() &&
           watermark >= windows_.last_window_of(*slice_ends_.begin())->end) {
      left_.slices.drop(*slice_ends_.begin());
      right_.slices.drop(*slice_ends_.begin());
      slice_ends_.erase(slice_ends_.begin());
    }
    return Progress::kDone;
  }

  // Brings a group to the end of one window, or to the watermark if that comes first.
  void fire_next(KeyGroup group, std::optional<EventTime> end) {
    const bool closes = end && *end <= progress_->watermark;
    if (closes) close(*end, group);
    done_[group] = closes ? *end : progress_->watermark;
  }

  void close(EventTime end, KeyGroup group) {
    const Window window = windows_.window_ending(end);
    const auto first = slice_ends_.upper_bound(window.start);
    const auto last = slice_ends_.upper_bound(end);
    if (first == last) return;
    if (std::next(first) == last && left_.slices.is_in_memory(*first) &&
        right_.slices.is_in_memory(*first)) {
      close_slice(*first, group, window);
      return;
    }
    for (auto it = first; it != last; ++it) {
      collect(left_, *it, group, &Contents::left);
      collect(right_, *it, group, &Contents::right);
    }
    for (const auto& [hashed, place] : places_) give_out(hashed.key, window, contents_[place]);
    // Keeps the memory of some, so that few keys cost no allocation.
    if (contents_.size() > kMostKept) contents_.resize(kMostKept);
    places_.clear();
  }

  // A window of one slice: both sides lie there as they are needed.
  void close_slice(EventTime slice_end, KeyGroup group, const Window& window) {
    if (contents_.empty()) contents_.emplace_back();
    Contents& contents = contents_.front();
    left_.slices.for_each(slice_end, group,
                          [&](const Key& key, std::uint64_t hash, const RowList<L>& left) {
                            copy(left, contents.left);
                            if (const auto* right = right_.slices.find(slice_end, key, hash))
                              copy(*right, contents.right);
                            give_out(key, window, contents);
                          });
    right_.slices.for_each(slice_end, group,
                           [&](const Key& key, std::uint64_t hash, const RowList<R>& right) {
                             if (left_.slices.find(slice_end, key, hash) != nullptr) return;
                             copy(right, contents.right);
                             give_out(key, window, contents);
                           });
  }
  template <class T>
  static void copy(const RowList<T>& list, std::vector<T>& rows) {
    for (const StoredRow<T>& row : list.rows()) rows.push_back(row.value);
  }
  // Empties `contents`.
  void give_out(const Key& key, const Window& window, Contents& contents) {
    f_(CoGroup<Key, L, R>{key, window, contents.left, contents.right}, [&](Row row) {
      ++given_out_;
      out_.emit(Out{key, window, std::move(row)}, window.last());
    });
    contents.left.clear();
    contents.right.clear();
  }

  template <class S>
  void collect(S& side, EventTime slice_end, KeyGroup group,
               std::vector<typename S::Value> Contents::*where) {
    using T = typename S::Value;
    side.slices.for_each(slice_end, group,
                         [&](const Key& key, std::uint64_t hash, const RowList<T>& list) {
                           copy(list, contents_of(key, hash).*where);
                         });
  }

  Contents& contents_of(const Key& key, std::uint64_t hash) {
    const auto [it, is_new] = places_.try_emplace(HashedKey{key, hash}, places_.size());
    if (is_new && it->second == contents_.size()) contents_.emplace_back();
    return contents_[it->second];
  }

  static constexpr std::size_t kMostKept = 4096;

  const AlignedWindows windows_;
  const F f_;
  const std::size_t firing_budget_;
  const KeyGroupRange groups_;
  Side<L, LeftKey> left_;
  Side<R, RightKey> right_;
  KeyGroupClocks done_;
  OperatorState<OperatorProgress> progress_;
  Counter& windowless_count_;
  Emitter<Out>& out_;

  std::set<EventTime> slice_ends_;  // derived: the namespaces of both sides
  // Empty between calls.
  std::vector<SliceRows> slices_of_batch_;
  boost::unordered_flat_map<HashedKey, std::size_t, HashOf> places_;  // in `contents_`
  std::vector<Contents> contents_;  // those without a place are empty too
  std::size_t given_out_ = 0;
};

// The pairs of a co-group, each made by F: Row(const L&, const R&).
template <class F>
struct EachPair {
  F f;

  template <class Key, class L, class R, class Emit>
  void operator()(const CoGroup<Key, L, R>& group, Emit&& emit) const {
    for (const L& left : group.left) {
      for (const R& right : group.right) emit(std::invoke(f, left, right));
    }
  }
};

template <class L, class R, class LeftKey, class RightKey, class F>
using WindowJoin =
    WindowCoGroup<L, R, LeftKey, RightKey,
                  std::remove_cvref_t<std::invoke_result_t<const F&, const L&, const R&>>,
                  EachPair<F>>;

}  // namespace tidemill
