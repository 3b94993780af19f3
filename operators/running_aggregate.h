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
#include "operators/group_wakes.h"
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
  // Keys after which a firing lets other messages pass.
  std::size_t firing_budget = 4096;
};

// KeyOf: key of a record. Finish: what a row carries of an accumulator.
// Port 0: Change<Keyed<Key, Result>>, an insert for the first row of a key, then updates; the
// row's time is the greatest record time of the key so far. What identifies a row is the key.
// Nothing is late.
//
// State: one accumulator per key, for ever.
template <class In, class A, class KeyOf, class Finish = FinishWithResult>
requires Accumulator<A, In>
class RunningAggregate final : public OneInput<In> {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Result = std::remove_cvref_t<std::invoke_result_t<const Finish&, const A&>>;
  using Row = Keyed<Key, Result>;
  using Out = Change<Row>;

  // Throws Error(kConfig) if `every` is not positive.
  RunningAggregate(OperatorContext& ctx, RunningOptions options, KeyOf key_of, Finish finish = {})
      : options_(check(options)),
        finish_(std::move(finish)),
        groups_(ctx.key_groups()),
        batch_keys_(std::move(key_of)),
        keys_(ctx, "keys"),
        done_(ctx, "done"),
        wakes_(groups_),
        watermark_(ctx, "watermark"),
        out_(ctx.output<Out>(0)) {
    if (options_.every) timers_.emplace(ctx, "timers");
    *watermark_ = EventTime::min();
    for (const EventTime before : watermark_.restored())
      *watermark_ = std::max(*watermark_, before);
  }

  void process(Batch<In>& batch) override {
    const std::span<const KeyRef<Key>> refs = batch_keys_.read(batch);
    const bool is_behind = options_.every && done_.min() < *watermark_;
    keys_.update(refs, [&](std::size_t i, State& state) {
      const Record<In>& record = batch[i];
      if (is_behind) catch_up(refs[i], state);
      add_to(state.content, record.value, Stamp{record.time});
      state.greatest = std::max(state.greatest, record.time);
      if (options_.every) {
        if (state.due != EventTime::max()) return;
        state.due = next_row(record.time);
        timers_->set(state.due, *refs[i].key, refs[i].hash);
        wakes_.note(key_group_of(refs[i].hash, groups_.groups), state.due);
      } else if (state.due != EventTime::min()) {
        state.due = EventTime::min();
        touched_.push_back({&state, refs[i].key});
      }
    });
    for (const Touched& t : touched_) give_out(*t.key, *t.state);
    touched_.clear();
  }

  Progress on_watermark(EventTime watermark) override {
    *watermark_ = std::max(*watermark_, watermark);
    return options_.every ? fire() : Progress::kDone;
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
    BOOST_DESCRIBE_CLASS(State, (), (content, greatest, due, has_row), (), ())
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
    return options;
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
    if (done_[key_group_of(ref.hash, groups_.groups)] < *watermark_ && state.due < *watermark_)
      give_out(*ref.key, state);
  }

  // A bounded number of timers: all of them are taken first, so that their keys are loaded
  // together.
  Progress fire() {
    if (done_.min() >= *watermark_) return Progress::kDone;
    wakes_.begin_firing(*watermark_);
    Progress progress = Progress::kDone;
    for (KeyGroup group = groups_.begin; group < groups_.end && progress == Progress::kDone;
         ++group) {
      if (done_[group] >= *watermark_) continue;
      if (wakes_.is_quiet(group, *watermark_)) {
        done_[group] = *watermark_;
        continue;
      }
      progress =
          timers_->fire_due(group, *watermark_, options_.firing_budget - due_.size(),
                            [&](EventTime time, const Key& key, std::uint64_t hash, std::uint64_t) {
                              due_.push_back({time, key, hash});
                            });
      if (progress != Progress::kDone) break;
      wakes_.set_fired(group, timers_->earliest(group));
      finished_.push_back(group);
    }
    due_refs_.clear();
    for (const DueTimer& due : due_) due_refs_.push_back({&due.key, due.hash});
    keys_.prefetch(due_refs_);
    for (const DueTimer& due : due_) {
      State* state = keys_.find_for_update(due.key, due.hash);
      // Otherwise it has had its row, since a record came in between.
      if (state != nullptr && state->due == due.time) give_out(due.key, *state);
    }
    due_.clear();
    for (const KeyGroup group : finished_) done_[group] = *watermark_;
    finished_.clear();
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
  KeyedValue<Key, State> keys_;
  std::optional<Timers<Key>> timers_;
  KeyGroupClocks done_;
  GroupWakes wakes_;
  OperatorState<EventTime> watermark_;
  Emitter<Out>& out_;
  // Empty between calls.
  std::vector<Touched> touched_;
  std::vector<DueTimer> due_;
  std::vector<KeyRef<Key>> due_refs_;
  std::vector<KeyGroup> finished_;
};

}  // namespace tidemill
