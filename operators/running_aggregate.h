// The aggregate of all records of a key so far, without windows: a stream of changes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/describe.hpp>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/accumulator.h"
#include "operators/batch_keys.h"
#include "operators/changelog.h"
#include "operators/pre_aggregate.h"
#include "operators/window.h"
#include "state/keyed_value.h"
#include "state/operator_state.h"
#include "state/timers.h"

namespace tidemill {

struct RunningOptions {
  // Rows only when the watermark reaches a multiple of this, and at the end of input: one for each
  // key that has changed, fewer where batches are small. Without it there is one at the end of each
  // batch for each key in it.
  std::optional<Duration> every = std::nullopt;
  // How long a key is kept after its greatest record time, in event time, though not before it has
  // had its row; none: for ever. Nothing is given out when it is dropped: its last row stands, and
  // its next record starts anew, with an insert.
  std::optional<Duration> ttl = std::nullopt;
  // Adds records up by key before they are sent to the subtask that has the key, until the
  // watermark moves or for a millisecond, unless there is a `ttl`: what is added up must not span a
  // key's end.
  bool pre_aggregates = true;
  // Keys after which a firing lets other messages pass.
  std::size_t firing_budget = 4096;
};

// KeyOf: key of a record. Finish: what a row carries of an accumulator.
// Input 0: records. Input 1: what PreAggregate has added up of them.
// Port 0: Change<Keyed<Key, Result>>, an insert for the first row of a key, then updates; the
// row's time is the greatest record time of the key so far. What identifies a row is the key.
// Nothing is late.
//
// State: one accumulator per key, for ever or for a ttl. `every` and `ttl` may be given and taken
// away at a restart; a key that was last written without a ttl has no end until it is written
// again.
template <class In, class A, class KeyOf, class Finish = FinishWithResult>
requires Accumulator<A, In>
class RunningAggregate final : public Operator {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Result = std::remove_cvref_t<std::invoke_result_t<const Finish&, const A&>>;
  using Row = Keyed<Key, Result>;
  using Out = Change<Row>;
  using PartialRow = KeyedPartial<Key, In, A>;

  // Throws Error(kConfig) if `every` or `ttl` is not positive.
  RunningAggregate(OperatorContext& ctx, RunningOptions options, KeyOf key_of, Finish finish = {})
      : options_(check(options)),
        finish_(std::move(finish)),
        groups_(ctx.key_groups()),
        batch_keys_(std::move(key_of)),
        keys_(ctx, "keys"),
        done_(ctx, "done"),
        watermark_(ctx, "watermark"),
        out_(ctx.output<Out>(0)) {
    // Those of former options are fired: rows that are owed, ends that are known.
    const auto has = [&](const char* state) {
      return ctx.resources().get<Backend>().has_state({ctx.name(), state});
    };
    if (options_.every || has("timers")) timers_.emplace(ctx, "timers");
    if (options_.ttl || has("expiry")) ends_.emplace(ctx, "expiry");
    *watermark_ = EventTime::min();
    for (const EventTime before : watermark_.restored())
      *watermark_ = std::max(*watermark_, before);
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
    *watermark_ = std::max(*watermark_, watermark);
    std::size_t budget = options_.firing_budget;
    if (fire(budget) == Progress::kMore) return Progress::kMore;
    // What is kept at the end of input stays.
    return *watermark_ == EventTime::max() ? Progress::kDone : expire(budget);
  }

  Progress on_end() override { return on_watermark(EventTime::max()); }

 private:
  struct State {
    A content{};
    EventTime greatest = EventTime::min();
    // Its next row is due once this is passed; max(): it has not changed since the last one; min():
    // at the end of the batch.
    EventTime due = EventTime::max();
    bool has_row = false;
    EventTime wake = EventTime::max();  // the timer of its end; max(): it has none
    BOOST_DESCRIBE_CLASS(State, (), (content, greatest, due, has_row, wake), (), ())
  };
  struct Touched {
    State* state;
    const Key* key;
  };
  struct DueTimer {
    EventTime time;
    Key key;
    std::uint64_t hash;
  };

  static RunningOptions check(const RunningOptions& options) {
    if (options.every && *options.every <= Duration::zero())
      throw Error(ErrorCode::kConfig, "the interval of a running aggregate must be positive");
    if (options.ttl && *options.ttl <= Duration::zero())
      throw Error(ErrorCode::kConfig, "the ttl of a running aggregate must be positive");
    return options;
  }

  template <class Rows>
  void process(Rows& batch, std::span<const KeyRef<Key>> refs) {
    const bool is_behind = timers_ && done_.min() < *watermark_;
    keys_.update(refs, [&](std::size_t i, State& state) {
      const auto& record = batch[i];
      if (is_behind) catch_up(refs[i], state);
      if (is_expired(state)) begin_anew(state);
      add_record(state.content, record);
      state.greatest = std::max(state.greatest, record.time);
      arm(refs[i], state);
      if (options_.every) {
        if (state.due != EventTime::max()) return;
        state.due = next_row(record.time);
        timers_->set(state.due, *refs[i].key, refs[i].hash);
      } else if (state.due != EventTime::min()) {
        state.due = EventTime::min();
        touched_.push_back({&state, refs[i].key});
      }
    });
    for (const Touched& t : touched_) give_out(*t.key, *t.state);
    touched_.clear();
  }

  // Passed when the watermark reaches the next multiple of `every`, or at the end of input. While
  // nobody has spoken of event time the record's own stands for it.
  [[nodiscard]] EventTime next_row(EventTime record) const {
    const EventTime now = *watermark_ == EventTime::min() ? record : *watermark_;
    const EventTime next = floor_to(now, *options_.every) + *options_.every - Duration(1);
    return std::min(next, EventTime{EventTime::max().ms - 1});
  }

  // A firing is not finished and has not come to this key: the row it owes must not see the record.
  void catch_up(const KeyRef<Key>& ref, State& state) {
    if (done_[key_group_of(ref.hash, groups_.groups)] < *watermark_ && is_owed(state))
      give_out(*ref.key, state);
  }

  [[nodiscard]] bool is_owed(const State& state) const {
    return state.due != EventTime::min() && state.due < *watermark_;
  }

  // The end of a key, once this is passed.
  [[nodiscard]] EventTime end_of(const State& state) const {
    const EventTime end = state.greatest + *options_.ttl;
    return state.due == EventTime::max() ? end : std::max(end, state.due);
  }
  // Also if it has not been dropped yet.
  [[nodiscard]] bool is_expired(const State& state) const {
    return options_.ttl && state.wake != EventTime::max() && *watermark_ > end_of(state);
  }
  static void begin_anew(State& state) {
    state.content = A{};
    state.greatest = EventTime::min();
    state.has_row = false;
  }
  void arm(const KeyRef<Key>& ref, State& state) {
    if (!options_.ttl) {
      state.wake = EventTime::max();
      return;
    }
    set_end(state.greatest + *options_.ttl, *ref.key, ref.hash, state);
  }
  // One timer a key, which moves on when it fires.
  void set_end(EventTime end, const Key& key, std::uint64_t hash, State& state) {
    if (end >= state.wake) return;
    ends_->set(end, key, hash);
    state.wake = end;
  }

  // Drops keys that have come to their end. Nobody sees when: such a key counts as dropped before.
  Progress expire(std::size_t budget) {
    if (!ends_ || ends_->is_empty()) return Progress::kDone;
    return ends_->fire_due(*watermark_, budget,
                           [&](EventTime time, const Key& key, std::uint64_t hash, std::uint64_t) {
                             drop_or_wait(time, key, hash);
                           });
  }
  void drop_or_wait(EventTime time, const Key& key, std::uint64_t hash) {
    const State* found = keys_.find(key, hash);
    if (found == nullptr || found->wake != time || !options_.ttl) return;
    if (is_expired(*found)) {
      keys_.erase(key, hash);
      return;
    }
    State& state = *keys_.find_for_update(key, hash);
    state.wake = EventTime::max();
    set_end(end_of(state), key, hash, state);
  }

  // A bounded number of timers: all of them are taken first, so that their keys are loaded
  // together.
  Progress fire(std::size_t& budget) {
    if (!timers_ || done_.min() >= *watermark_) return Progress::kDone;
    const Progress progress =
        timers_->fire_due(*watermark_, budget,
                          [&](EventTime time, const Key& key, std::uint64_t hash, std::uint64_t) {
                            due_.push_back({time, key, hash});
                          });
    due_refs_.clear();
    for (const DueTimer& due : due_) due_refs_.push_back({&due.key, due.hash});
    keys_.prefetch(due_refs_);
    for (PlaceAhead place = 0; place < due_.size(); ++place) {
      const DueTimer& due = due_[place];
      State* state = keys_.find_for_update(due.key, due.hash, place);
      // Otherwise it has had its row, since a record came in between.
      if (state != nullptr && state->due == due.time) give_out(due.key, *state);
    }
    budget -= due_.size();
    due_.clear();
    timers_->note_fired(done_, *watermark_);
    return progress;
  }

  void give_out(const Key& key, State& state) {
    state.due = EventTime::max();
    out_.emit({state.has_row ? ChangeKind::kUpdate : ChangeKind::kInsert,
               Row{key, finish_(state.content)}},
              state.greatest);
    state.has_row = true;
  }

  const RunningOptions options_;
  const Finish finish_;
  const KeyGroupRange groups_;
  BatchKeys<In, KeyOf> batch_keys_;
  BatchKeys<PartialRow, Key PartialRow::*> partial_keys_{&PartialRow::key};
  KeyedValue<Key, State> keys_;
  std::optional<Timers<Key>> timers_;  // of rows
  std::optional<Timers<Key>> ends_;    // of keys
  KeyGroupClocks done_;
  OperatorState<EventTime> watermark_;
  Emitter<Out>& out_;
  // Empty between calls.
  std::vector<Touched> touched_;
  std::vector<DueTimer> due_;
  std::vector<KeyRef<Key>> due_refs_;
};

}  // namespace tidemill
