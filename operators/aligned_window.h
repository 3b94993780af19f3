// Tumbling and sliding aggregates of keyed streams over shared slices (docs/semantics.md 2). One
// slice is updated per record, whatever size / slide is; a result merges the slices of its window.
#pragma once

#include <algorithm>
#include <concepts>
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

#include "engine/base/error.h"
#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/accumulator.h"
#include "operators/batch_keys.h"
#include "operators/late_records.h"
#include "operators/pre_aggregate.h"
#include "operators/running_windows.h"
#include "operators/window.h"
#include "state/operator_state.h"
#include "state/windowed_value.h"

namespace tidemill {

// KeyOf: key of a record. Finish: what a row carries of an accumulator.
// Input 0: records. Input 1: what PreAggregate has added up of them.
// Port 0: Windowed<Key, Result> at the window's last instant. Port 1: records too late for every
// window they fall in, as they came.
//
// Each key group has its own clock, the watermark up to which its windows have fired. Only slices
// are state (and, where the options need them, the last rows); which windows exist follows from the
// slices.
template <class In, class A, class KeyOf, class Finish = FinishWithResult>
requires Accumulator<A, In>
class AlignedWindow final : public Operator {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Result = std::remove_cvref_t<std::invoke_result_t<const Finish&, const A&>>;
  using Out = Windowed<Key, Result>;
  using PartialRow = KeyedPartial<Key, In, A>;

  // Throws Error(kConfig) for impossible options, or if the checkpoint was made with other windows.
  AlignedWindow(OperatorContext& ctx, AlignedWindows windows, WindowOptions options, KeyOf key_of,
                Finish finish = {})
      : windows_(windows),
        options_(check(options)),
        finish_(std::move(finish)),
        groups_(ctx.key_groups()),
        clock_(ctx.clock()),
        batch_keys_(std::move(key_of)),
        slices_(ctx, "slices"),
        done_(ctx, "done"),
        progress_(ctx, "progress"),
        out_(ctx.output<Out>(0)),
        late_(ctx, OutputPort<In>{1}),
        windowless_count_(ctx.counter("tidemill_records_in_no_window_total")) {
    // Those of former options leave with their windows; nothing is lost with them.
    if (needs_marks() || ctx.resources().get<Backend>().has_state({ctx.name(), "marks"}))
      marks_.emplace(ctx, "marks");
    restore(ctx.name());
    const std::vector<EventTime> ends = slices_.namespaces();
    slice_ends_ = std::set<EventTime>(ends.begin(), ends.end());
    next_early_processing_ = next_alarm();
  }

  void on_batch(int input, AnyBatch batch) override {
    if (input == 0) {
      auto& records = static_cast<Batch<In>&>(*batch);
      process(records, batch_keys_.read(records));
    } else {
      auto& partials = static_cast<Batch<PartialRow>&>(*batch);
      process(partials, partial_keys_.read(partials));
    }
  }

  Progress on_watermark(EventTime watermark) override {
    progress_->watermark = std::max(progress_->watermark, watermark);
    return fire();
  }

  Progress on_end() override { return on_watermark(EventTime::max()); }

  void on_tick() override {
    if (!options_.early_processing || clock_.processing_time() < next_early_processing_) return;
    next_early_processing_ = next_alarm();
    for (const EventTime end : marks_->namespaces()) {
      if (end <= progress_->watermark) continue;
      for (KeyGroup group = groups_.begin; group < groups_.end; ++group)
        give_out_changed(end, group);
    }
  }

 private:
  template <class Row>
  void process(Batch<Row>& batch, std::span<const KeyRef<Key>> refs) {
    if (add_to_one_slice(batch, refs)) return;
    sort_into_slices(batch, refs);
    for (SliceRows& slice : rows_) {
      if (slice.refs.empty()) continue;
      slice_ends_.insert(slice.end);
      const auto add = [&](std::size_t i, A& a) { add_record(a, batch[slice.rows[i]]); };
      const bool is_behind = slice.first_end <= progress_->watermark;
      const bool is_read = needs_touches() || is_behind;  // at the end of the batch
      is_read ? slices_.update(slice.end, slice.refs, add)
              : slices_.accumulate(slice.end, slice.refs, add);
      if (is_behind) {
        for (const KeyRef<Key>& ref : slice.refs)
          running_.forget(key_group_of(ref.hash, groups_.groups), slice.end);
      }
      if (is_read) touch_windows(slice);
    }
    rows_of_touched_windows();
    rows_.clear();
  }

  void give_late(Record<In>& record) {
    late_.give(std::move(record.value), record.time, progress_->watermark, batch_keys_);
  }
  void give_late(Record<PartialRow>& partial) {
    TM_CHECK(partial.value.record.has_value());  // what was added up was in time
    late_.give(std::move(*partial.value.record), partial.time, progress_->watermark, batch_keys_);
  }

  // The rows of a batch that fall in one slice.
  struct SliceRows {
    EventTime start;
    EventTime end;
    EventTime first_end;  // of the windows that hold the slice
    EventTime last_end;
    std::vector<std::uint32_t> rows;
    std::vector<KeyRef<Key>> refs;
  };
  struct Touched {
    EventTime end;
    KeyRef<Key> ref;
  };
  struct OperatorProgress {
    EventTime watermark = EventTime::min();
    Duration size{};
    Duration slide{};
    Duration offset{};
    BOOST_DESCRIBE_CLASS(OperatorProgress, (), (watermark, size, slide, offset), (), ())
  };
  // What is remembered of the rows of a key and window.
  struct Mark {
    bool has_changed = false;  // since the last row
    std::optional<A> last;     // what the last row was made of; for changes_only
    BOOST_DESCRIBE_CLASS(Mark, (), (has_changed, last), (), ())
  };

  static constexpr std::int64_t kManySlices = 4;  // in a window: fewer are merged as soon

  static WindowOptions check(const WindowOptions& options) {
    check_options(options, std::equality_comparable<Result>);
    return options;
  }

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

  [[nodiscard]] bool needs_marks() const {
    return options_.early || options_.early_processing || options_.changes_only;
  }
  // Windows a batch touched are of interest even while they are open.
  [[nodiscard]] bool needs_touches() const {
    return options_.on_update || options_.early || options_.early_processing;
  }
  [[nodiscard]] bool is_over(EventTime window_end) const {
    return progress_->watermark >= window_end + options_.allowed_lateness;
  }

  // The common case: all records of the batch fall in one slice whose windows are all open, and
  // none of them gives a row before it closes.
  template <class Row>
  bool add_to_one_slice(const Batch<Row>& batch, std::span<const KeyRef<Key>> refs) {
    if (batch.empty() || needs_touches()) return false;
    const Window slice = windows_.slice_of(batch[0].time);
    for (const Record<Row>& record : batch) {
      if (record.time < slice.start || record.time >= slice.end) return false;
    }
    if (!slice.start.is_finite() || !slice.end.is_finite() || !windows_.last_window_of(slice.end) ||
        windows_.first_end_of(slice.end) <= progress_->watermark)
      return false;
    slice_ends_.insert(slice.end);
    slices_.accumulate(slice.end, refs, [&](std::size_t i, A& a) { add_record(a, batch[i]); });
    return true;
  }

  // First pass: where each record belongs. Late ones leave here.
  template <class Row>
  void sort_into_slices(Batch<Row>& batch, std::span<const KeyRef<Key>> refs) {
    const bool is_behind = done_.min() < progress_->watermark;
    SliceRows* slice = nullptr;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const EventTime time = batch[i].time;
      if (slice == nullptr || time < slice->start || time >= slice->end) slice = find_rows(time);
      if (slice == nullptr) {
        windowless_count_.add();
        continue;
      }
      if (is_over(slice->last_end)) {
        give_late(batch[i]);
        continue;
      }
      if (is_behind) catch_up(*slice, refs[i].hash);
      slice->rows.push_back(static_cast<std::uint32_t>(i));
      slice->refs.push_back(refs[i]);
    }
  }

  // Null: the record falls in no window.
  SliceRows* find_rows(EventTime time) {
    for (SliceRows& slice : rows_) {
      if (time >= slice.start && time < slice.end) return &slice;
    }
    const Window bounds = windows_.slice_of(time);
    const std::optional<Window> last = windows_.last_window_of(bounds.end);
    if (!last || !bounds.start.is_finite() || !bounds.end.is_finite()) return nullptr;
    rows_.push_back(
        {bounds.start, bounds.end, windows_.first_end_of(bounds.end), last->end, {}, {}});
    return &rows_.back();
  }

  // A firing is not finished and has not come to this group: what it still owes must not see the
  // record.
  void catch_up(const SliceRows& slice, std::uint64_t hash) {
    if (slice.first_end > progress_->watermark && !options_.early) return;
    const KeyGroup group = key_group_of(hash, groups_.groups);
    while (done_[group] < progress_->watermark)
      fire_next(group, windows_.next_end(slice_ends_, done_[group]));
  }

  void touch_windows(const SliceRows& slice) {
    for (EventTime end = slice.first_end; end <= slice.last_end; end = end + windows_.slide()) {
      if (is_over(end) || (!needs_touches() && end > progress_->watermark)) continue;
      for (const KeyRef<Key>& ref : slice.refs) touched_.push_back({end, ref});
    }
  }

  // At the end of the batch: one new row for each closed window it updated, with on_update for each
  // window it touched.
  void rows_of_touched_windows() {
    const auto place = [](const Touched& t) { return std::tie(t.end, t.ref.hash); };
    std::sort(touched_.begin(), touched_.end(),
              [&](const Touched& a, const Touched& b) { return place(a) < place(b); });
    for (std::size_t i = 0; i < touched_.size(); ++i) {
      const Touched& t = touched_[i];
      bool is_first = true;
      for (std::size_t j = i; j > 0 && place(touched_[j - 1]) == place(t); --j) {
        if (*touched_[j - 1].ref.key == *t.ref.key) is_first = false;
      }
      if (!is_first) continue;
      if (options_.on_update || t.end <= progress_->watermark) {
        give_out(t.end, *t.ref.key, t.ref.hash, content(t.end, *t.ref.key, t.ref.hash));
      } else {
        marks_->at(t.end, *t.ref.key, t.ref.hash).has_changed = true;
      }
    }
    touched_.clear();
  }

  // Window after window, group after group, until the watermark or the budget is reached.
  Progress fire() {
    const EventTime watermark = progress_->watermark;
    given_out_ = 0;
    while (true) {
      const EventTime from = done_.min();
      if (from >= watermark) break;
      const std::optional<EventTime> end = windows_.next_end(slice_ends_, from);
      const EventTime goal = end && *end <= watermark ? *end : watermark;
      for (KeyGroup group = groups_.begin; group < groups_.end; ++group) {
        if (done_[group] >= goal) continue;
        fire_next(group, end);
        if (given_out_ >= options_.firing_budget)
          return done_.min() >= watermark ? finish() : Progress::kMore;
      }
    }
    return finish();
  }

  // Brings a group to the end of one window, or to the watermark if that comes first.
  void fire_next(KeyGroup group, std::optional<EventTime> end) {
    const EventTime watermark = progress_->watermark;
    const bool closes = end && *end <= watermark;
    const EventTime goal = closes ? *end : watermark;
    if (options_.early) give_out_early(group, goal);
    if (closes && !options_.on_update) close(*end, group);
    done_[group] = goal;
  }

  // All groups have fired: what no window can need any more is dropped.
  Progress finish() {
    while (!slice_ends_.empty() && is_over(windows_.last_window_of(*slice_ends_.begin())->end)) {
      slices_.drop(*slice_ends_.begin());
      slice_ends_.erase(slice_ends_.begin());
    }
    if (marks_) {
      for (const EventTime end : marks_->namespaces()) {
        if (!is_over(end)) break;
        marks_->drop(end);
      }
    }
    slices_.charge_besides(running_.memory());
    return Progress::kDone;
  }

  // The result of every key of the group that the window ending at `end` holds.
  void close(EventTime end, KeyGroup group) {
    if (windows_.slice() == windows_.size()) {
      slices_.for_each(end, group, [&](const Key& key, std::uint64_t hash, const A& a) {
        give_out(end, key, hash, a);
      });
      return;
    }
    if constexpr (kCanCarryWindows<A>) {
      if (windows_.size() / windows_.slice() >= kManySlices) {
        running_.close(
            group, windows_.window_ending(end), windows_.slide(),
            [&](EventTime after, EventTime until, auto&& fn) {
              for (auto it = slice_ends_.upper_bound(after);
                   it != slice_ends_.end() && *it <= until; ++it)
                slices_.for_each(*it, group, [&](const Key& key, std::uint64_t hash, const A& a) {
                  fn(*it, key, hash, a);
                });
            },
            [&](const Key& key, std::uint64_t hash, const A& a) { give_out(end, key, hash, a); });
        return;
      }
    }
    const EventTime start = end - windows_.size();
    for (auto it = slice_ends_.upper_bound(start); it != slice_ends_.end() && *it <= end; ++it) {
      slices_.for_each(*it, group, [&](const Key& key, std::uint64_t hash, const A& a) {
        const auto [entry, is_new] = merged_.try_emplace(HashedKey<Key>{key, hash}, a);
        if (!is_new) entry->second.merge(a);
      });
    }
    for (const auto& [key, a] : merged_) give_out(end, key.key, key.hash, a);
    merged_.clear();
  }

  // What one key has in the window ending at `end`.
  [[nodiscard]] A content(EventTime end, const Key& key, std::uint64_t hash) {
    A total{};
    bool is_first = true;
    const EventTime start = end - windows_.size();
    for (auto it = slice_ends_.upper_bound(start); it != slice_ends_.end() && *it <= end; ++it) {
      const A* a = slices_.find(*it, key, hash);
      if (a == nullptr) continue;
      if (is_first) {
        total = *a;
        is_first = false;
      } else {
        total.merge(*a);
      }
    }
    return total;
  }

  // Rows of windows that are open, have changed, and whose start is a multiple of `early` before an
  // instant in (clock, goal].
  void give_out_early(KeyGroup group, EventTime goal) {
    const EventTime from = done_[group];
    for (const EventTime end : marks_->namespaces()) {
      if (end <= from) continue;
      const EventTime start = end - windows_.size();
      const EventTime now = std::min(goal, end - Duration(1));
      const EventTime reached =
          floor_to(now, *options_.early, Duration(start.ms % options_.early->count()));
      if (reached > start && reached > from) give_out_changed(end, group);
    }
  }

  void give_out_changed(EventTime end, KeyGroup group) {
    marks_->for_each(end, group, [&](const Key& key, std::uint64_t hash, const Mark& mark) {
      if (mark.has_changed) changed_.push_back({key, hash});
    });
    for (const HashedKey<Key>& key : changed_)
      give_out(end, key.key, key.hash, content(end, key.key, key.hash));
    changed_.clear();
  }

  void give_out(EventTime end, const Key& key, std::uint64_t hash, const A& a) {
    ++given_out_;
    Result result = finish_(a);
    if (needs_marks() && !take_mark(end, key, hash, a, result)) return;
    const Window window = windows_.window_ending(end);
    out_.emit(Out{key, window, std::move(result)}, window.last());
  }

  // False if the row would equal the last one and only changes are wanted.
  bool take_mark(EventTime end, const Key& key, std::uint64_t hash, const A& a,
                 const Result& result) {
    Mark& mark = marks_->at(end, key, hash);
    mark.has_changed = false;
    if constexpr (std::equality_comparable<Result>) {
      if (options_.changes_only) {
        if (mark.last && finish_(*mark.last) == result) return false;
        mark.last = a;
      }
    }
    return true;
  }

  [[nodiscard]] EventTime next_alarm() const {
    if (!options_.early_processing) return EventTime::max();
    return floor_to(clock_.processing_time(), *options_.early_processing) +
           *options_.early_processing;
  }

  const AlignedWindows windows_;
  const WindowOptions options_;
  const Finish finish_;
  const KeyGroupRange groups_;
  const Clock& clock_;
  BatchKeys<In, KeyOf> batch_keys_;
  BatchKeys<PartialRow, Key PartialRow::*> partial_keys_{&PartialRow::key};
  WindowedValue<Key, A> slices_;                   // by the end of the slice
  std::optional<WindowedValue<Key, Mark>> marks_;  // by the end of the window
  KeyGroupClocks done_;
  OperatorState<OperatorProgress> progress_;
  Emitter<Out>& out_;
  LateRecords<In> late_;
  Counter& windowless_count_;

  std::set<EventTime> slice_ends_;           // derived: the namespaces of slices_
  RunningWindows<Key, A> running_{groups_};  // derived from slices_
  EventTime next_early_processing_ = EventTime::max();
  // Empty between calls.
  std::vector<SliceRows> rows_;
  std::vector<Touched> touched_;
  std::vector<HashedKey<Key>> changed_;
  boost::unordered_flat_map<HashedKey<Key>, A, typename HashedKey<Key>::Hash> merged_;
  std::size_t given_out_ = 0;
};

}  // namespace tidemill
