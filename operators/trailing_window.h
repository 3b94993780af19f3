// The trailing multi-window: for each key the last `size` up to now, for several sizes at once,
// falling back to nothing when the key goes silent (docs/semantics.md 2.1; the exact rules are
// those of the main job's contract).
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/container/small_vector.hpp>
#include <boost/describe.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/accumulator.h"
#include "operators/batch_keys.h"
#include "operators/trailing_key.h"
#include "operators/trailing_parts.h"
#include "state/keyed_value.h"
#include "state/operator_state.h"
#include "state/timers.h"

namespace tidemill {

enum class TrailingEmit {
  kOnRecord,     // a row at once for each record, one for each decay the watermark has passed
  kOnWatermark,  // records and decays take effect in the order of their instants, once watermark -
                 // lateness has passed them
  kCoalesced,    // of the rows of kOnWatermark the last one of each key and interval
};

struct TrailingOptions {
  TrailingEmit emit = TrailingEmit::kOnRecord;
  Duration interval = Duration::zero();  // kCoalesced: the interval of event time
  // How far behind the watermark the source lets records be. Records are judged there: this
  // operator takes all it is given.
  Duration lateness = Duration::zero();
  bool deletes_empty =
      false;  // a key that has become empty gives a delete instead of a row of empties
  bool changes_only = false;         // no row equal to the key's last one
  std::size_t firing_budget = 2048;  // timers after which a firing lets other messages pass
};

// What a key's windows hold at an instant.
template <class Key, class Result>
struct TrailingRow {
  Key key;
  EventTime at;
  boost::container::small_vector<Result, 3>
      results;             // one per window, in the order they were given
  bool is_empty = false;   // no window counts anything any more: the key is forgotten
  bool is_delete = false;  // and the row is to be deleted
};

// For records without an origin: of the same time, the order of their arrival decides.
struct ByArrival {
  template <class In>
  constexpr TieOrder operator()(const In&) const {
    return {};
  }
};

// What Finish makes of an accumulator.
template <class A, class Finish>
struct FinishedAs {
  using type = std::remove_cvref_t<std::invoke_result_t<const Finish&, const A&>>;
};
template <class A, class Finish>
requires std::is_invocable_v<const Finish&, const A&, std::size_t>
struct FinishedAs<A, Finish> {
  using type = std::remove_cvref_t<std::invoke_result_t<const Finish&, const A&, std::size_t>>;
};
template <HasParts A, class Finish>
struct FinishedAs<A, Finish> {
  using type = typename Finish::Result;
};

// A: an accumulator, or one in parts (trailing_parts.h). KeyOf: key of a record. OrderOf: TieOrder
// of a record, its (partition, offset). Finish: what a row carries of an accumulator, given it, or
// it and its window's number; of one in parts it fills in a Finish::Result{}, given what the key
// shares, the window's total and its number. Port 0: TrailingRow<Key, Result>, at the instant at
// which it holds. One value per key, so a key's slices are read and written together.
template <class In, class A, class KeyOf, class OrderOf = ByArrival,
          class Finish = FinishWithResult>
requires Accumulator<A, In> || AccumulatorInParts<A, In>
class TrailingWindow final : public OneInput<In> {
  // What a row carries of window `w`.
  template <class Results>
  static void finish_one(const Finish& finish, const TrailingKey<A>& state, std::size_t w,
                         Results& results) {
    if constexpr (HasParts<A>) {
      finish(state.shared(), state.total(w), w, results.emplace_back());
    } else if constexpr (std::is_invocable_v<const Finish&, const A&, std::size_t>) {
      results.push_back(finish(state.total(w), w));
    } else {
      results.push_back(finish(state.total(w)));
    }
  }

 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Result = typename FinishedAs<A, Finish>::type;
  using Out = TrailingRow<Key, Result>;

  // Throws Error(kConfig) for impossible windows, or if the checkpoint was made with others.
  TrailingWindow(OperatorContext& ctx, std::vector<Trailing> windows, TrailingOptions options,
                 KeyOf key_of, OrderOf order_of = {}, Finish finish = {})
      : layout_(std::move(windows)),
        options_(check(options)),
        order_of_(std::move(order_of)),
        finish_(std::move(finish)),
        groups_(ctx.key_groups()),
        batch_keys_(std::move(key_of)),
        keys_(ctx, "keys"),
        timers_(ctx, "timers"),
        done_(ctx, "done"),
        progress_(ctx, "progress"),
        out_(ctx.output<Out>(0)) {
    restore(ctx.name());
  }

  void process(Batch<In>& batch) override {
    const std::span<const KeyRef<Key>> refs = batch_keys_.read(batch);
    load(refs);
    const bool is_behind = done_.min() < target();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (is_behind) catch_up(refs[i]);
      take(batch[i], refs[i], i);
    }
    // What the watermark has passed already follows at the end of the batch.
    for (const KeyRef<Key>& ref : overdue_) fire(*ref.key, ref.hash);
    overdue_.clear();
    caught_up_.clear();
  }

  Progress on_watermark(EventTime watermark) override {
    if (watermark == EventTime::max()) return on_end();
    progress_->watermark = std::max(progress_->watermark, watermark);
    return fire_due();
  }

  // What has not taken effect may still give a row of its instant.
  [[nodiscard]] EventTime output_watermark(EventTime watermark) const override {
    return is_ordered() && watermark.is_finite() ? settled(watermark) : watermark;
  }

  // Every record takes effect, and what decays before it or before the last finite watermark;
  // nothing decays beyond.
  Progress on_end() override {
    if (!is_ordered()) return Progress::kDone;
    progress_->has_ended = true;
    return fire_due();
  }

 private:
  using State = TrailingKey<A>;
  using Results = decltype(Out::results);

  struct OperatorProgress {
    EventTime watermark = EventTime::min();  // the last finite one
    EventTime max_time = EventTime::min();   // of all records
    bool has_ended = false;
    std::vector<std::pair<Duration, Duration>> windows;  // size, resolution
    BOOST_DESCRIBE_CLASS(OperatorProgress, (), (watermark, max_time, has_ended, windows), (), ())
  };
  struct DueTimer {
    EventTime time;
    Key key;
    std::uint64_t hash;
  };
  // The last row of a key, while it is being worked on.
  struct LastRow {
    Results results;
    bool is_empty = false;
  };

  static TrailingOptions check(const TrailingOptions& options) {
    if (options.emit == TrailingEmit::kCoalesced && options.interval <= Duration::zero()) {
      throw Error(ErrorCode::kConfig, "a coalesced trailing window needs a positive interval");
    }
    if (options.lateness < Duration::zero())
      throw Error(ErrorCode::kConfig, "the lateness of a trailing window is negative");
    if constexpr (!std::equality_comparable<Result>) {
      if (options.changes_only)
        throw Error(ErrorCode::kConfig,
                    "changes_only needs results that can be compared (operator==)");
    }
    return options;
  }

  void restore(const std::string& name) {
    for (const Trailing& w : layout_.windows())
      progress_->windows.emplace_back(w.size, w.resolution);
    for (const OperatorProgress& former : progress_.restored()) {
      if (former.windows != progress_->windows) {
        throw Error(ErrorCode::kConfig,
                    "the checkpoint was made with other trailing windows; keep sizes and "
                    "resolutions as they were, "
                    "or give the operator another name: " +
                        name);
      }
      progress_->watermark = std::max(progress_->watermark, former.watermark);
      progress_->max_time = std::max(progress_->max_time, former.max_time);
      progress_->has_ended = progress_->has_ended || former.has_ended;
    }
  }

  [[nodiscard]] bool is_ordered() const { return options_.emit != TrailingEmit::kOnRecord; }

  // kOnWatermark, kCoalesced: the instants before this one take effect at `watermark`.
  [[nodiscard]] EventTime settled(EventTime watermark) const {
    const EventTime passed = watermark - options_.lateness;
    return options_.emit == TrailingEmit::kCoalesced ? floor_to(passed, options_.interval) : passed;
  }
  // Decays before this take effect.
  [[nodiscard]] EventTime decay_limit() const {
    return is_ordered() && !progress_->has_ended ? settled(progress_->watermark)
                                                 : progress_->watermark;
  }
  // kOnWatermark, kCoalesced: records before this take effect.
  [[nodiscard]] EventTime record_limit() const {
    return progress_->has_ended ? EventTime::max() : settled(progress_->watermark);
  }
  // Where the clock of a group stands that owes nothing.
  [[nodiscard]] EventTime target() const {
    return progress_->has_ended ? EventTime::max() : decay_limit();
  }

  // Keys and what they hold are asked for together, since most lie beyond the cache.
  void load(std::span<const KeyRef<Key>> refs) {
    keys_.prefetch(refs);
    for (std::size_t i = 0; i < refs.size(); ++i) {
      if (const State* state = keys_.find(*refs[i].key, refs[i].hash, i)) state->prefetch();
    }
  }

  // A firing is not finished and has not come to this key's group: no row of the batch may show
  // that.
  void catch_up(const KeyRef<Key>& ref) {
    if (done_[key_group_of(ref.hash, groups_.groups)] < target() && caught_up_.insert(ref).second)
      fire(*ref.key, ref.hash);
  }

  void take(const Record<In>& record, const KeyRef<Key>& ref, PlaceAhead place) {
    State& state = keys_.at(*ref.key, ref.hash, place);
    state.prepare(layout_);
    const Stamp stamp{record.time, std::invoke(order_of_, record.value)};
    progress_->max_time = std::max(progress_->max_time, record.time);
    if (is_ordered()) {
      state.put_off(stamp, record.value);
      if (record.time < record_limit()) overdue_.push_back(ref);
      // The timer is there for all that waited before.
      if (record.time >= state.timer) return;
    } else {
      LastRow last = last_row(state);
      state.advance(layout_, record.time);
      state.add(layout_, stamp, record.value);
      emit(*ref.key, state, last);
      if (state.next_leave() < decay_limit()) overdue_.push_back(ref);
    }
    arm(*ref.key, ref.hash, state);
  }

  // Lets everything that is due for the key take effect.
  void fire(const Key& key, std::uint64_t hash) {
    if (State* state = keys_.find_for_update(key, hash); state != nullptr) fire(key, hash, *state);
  }
  void fire(const Key& key, std::uint64_t hash, State& state) {
    state.prepare(layout_);
    take_effect(key, state);
    if (is_forgotten(state)) {
      keys_.erase(key, hash);
    } else {
      arm(key, hash, state);
    }
  }

  // Works off the key's instants in order, decays before records.
  void take_effect(const Key& key, State& state) {
    LastRow last = last_row(state);
    EventTime unsent =
        EventTime::min();  // kCoalesced: the interval whose last row has not been given out
    std::size_t taken = 0;
    while (true) {
      const bool has_record =
          taken < state.waiting.size() && state.waiting[taken].stamp.time < record_limit();
      const EventTime decay = state.next_leave();
      const bool decays =
          has_record ? decay <= state.waiting[taken].stamp.time : decay < decay_limit();
      if (!has_record && !decays) break;
      const EventTime at =
          decays ? decay : std::max(state.instant, state.waiting[taken].stamp.time);
      if (options_.emit == TrailingEmit::kCoalesced) {
        const EventTime interval = floor_to(at, options_.interval);
        if (unsent != EventTime::min() && interval != unsent) emit(key, state, last);
        unsent = interval;
      }
      state.advance(layout_, at);
      if (!decays) state.add(layout_, state.waiting[taken++]);
      if (options_.emit != TrailingEmit::kCoalesced) emit(key, state, last);
    }
    if (unsent != EventTime::min()) emit(key, state, last);
    state.waiting.erase(state.waiting.begin(),
                        state.waiting.begin() + static_cast<std::ptrdiff_t>(taken));
  }

  // An empty key stays known while a record may come that is older than its last decay, so that its
  // instants never go back.
  [[nodiscard]] EventTime forget_after(const State& state) const {
    return state.instant + options_.lateness;
  }
  [[nodiscard]] bool is_forgotten(const State& state) const {
    if (!state.is_empty() || !state.waiting.empty()) return false;
    return is_ordered() || forget_after(state) < progress_->watermark;
  }

  // Sees to it that the key is woken when something next happens to it.
  void arm(const Key& key, std::uint64_t hash, State& state) {
    EventTime next = state.next_leave();
    if (!state.waiting.empty()) next = std::min(next, state.waiting.front().stamp.time);
    if (next == EventTime::max()) next = forget_after(state);
    if (next >= state.timer) return;
    timers_.set(next, key, hash);
    state.timer = next;
  }

  // A bounded number of timers: all of them are taken first, so that their keys are loaded
  // together.
  Progress fire_due() {
    const EventTime goal = target();
    if (done_.min() >= goal) return Progress::kDone;
    const EventTime until = progress_->has_ended
                                ? std::max(progress_->watermark, progress_->max_time + Duration(1))
                                : goal;
    Progress progress = Progress::kDone;
    for (KeyGroup group = timers_.next_due_group(groups_.begin, until);
         group < groups_.end && progress == Progress::kDone;
         group = timers_.next_due_group(group + 1, until)) {
      if (done_[group] >= goal) continue;
      // At the end a timer may be set again before `until`, so a group is done in one go.
      const std::size_t budget = progress_->has_ended ? std::numeric_limits<std::size_t>::max()
                                                      : options_.firing_budget - due_.size();
      progress =
          timers_.fire_due(group, until, budget,
                           [&](EventTime time, const Key& key, std::uint64_t hash, std::uint64_t) {
                             due_.push_back({time, key, hash});
                           });
      if (progress == Progress::kDone) finished_.push_back(group);
      if (progress_->has_ended && due_.size() >= options_.firing_budget) progress = Progress::kMore;
    }
    if (progress == Progress::kDone) timers_.pass(until);
    fire_collected();
    for (const KeyGroup g : finished_) done_[g] = goal;
    finished_.clear();
    if (progress == Progress::kDone) done_.raise(goal);
    return done_.min() >= goal ? Progress::kDone : Progress::kMore;
  }

  void fire_collected() {
    due_refs_.clear();
    for (const DueTimer& due : due_) due_refs_.push_back({&due.key, due.hash});
    keys_.prefetch(due_refs_);
    constexpr std::size_t kAhead = 8;
    std::size_t next = 0;
    for (std::size_t i = 0; i < due_.size(); ++i) {
      for (; next < std::min(i + kAhead, due_.size()); ++next) {
        if (const State* state = keys_.find(due_[next].key, due_[next].hash, next))
          state->prefetch();
      }
      const DueTimer& due = due_[i];
      State* state = keys_.find_for_update(due.key, due.hash, i);
      if (state == nullptr || state->timer != due.time)
        continue;  // forgotten, or an earlier timer has taken over
      state->timer = EventTime::max();
      fire(due.key, due.hash, *state);
    }
    due_.clear();
  }

  void finish(const State& state, Results& results) const {
    for (std::size_t w = 0; w < layout_.size(); ++w) finish_one(finish_, state, w, results);
  }

  // The last row is what the key held before: every change gives a row, or one equal to the last. A
  // key that is not known stands empty, so that it does not show when a key is forgotten.
  [[nodiscard]] LastRow last_row(const State& state) const {
    LastRow last;
    if (options_.changes_only) {
      finish(state, last.results);
      last.is_empty = state.is_empty();
    }
    return last;
  }

  void emit(const Key& key, const State& state, LastRow& last) {
    const bool is_empty = state.is_empty();
    if constexpr (std::equality_comparable<Result>) {
      if (options_.changes_only) {
        Results results;
        finish(state, results);
        if (last.is_empty == is_empty && last.results == results) return;
        last = {std::move(results), is_empty};
      }
    }
    out_.emit_made(state.instant, [&](Out& row) {
      row.key = key;
      row.at = state.instant;
      finish(state, row.results);
      row.is_empty = is_empty;
      row.is_delete = is_empty && options_.deletes_empty;
    });
  }

  const TrailingLayout layout_;
  const TrailingOptions options_;
  const OrderOf order_of_;
  const Finish finish_;
  const KeyGroupRange groups_;
  BatchKeys<In, KeyOf> batch_keys_;
  KeyedValue<Key, State> keys_;
  Timers<Key> timers_;
  KeyGroupClocks done_;  // the instants before it have taken effect
  OperatorState<OperatorProgress> progress_;
  Emitter<Out>& out_;
  // Empty between calls.
  std::vector<KeyRef<Key>> overdue_;
  boost::unordered_flat_set<KeyRef<Key>, KeyRefHash<Key>, KeyRefEqual<Key>> caught_up_;
  std::vector<DueTimer> due_;
  std::vector<KeyRef<Key>> due_refs_;
  std::vector<KeyGroup> finished_;
};

}  // namespace tidemill
