// Session aggregates of keyed streams: windows that last as long as records come, merging as they
// grow together (docs/semantics.md 2).
#pragma once

#include <algorithm>
#include <concepts>
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
#include "operators/late_records.h"
#include "operators/session_key.h"
#include "operators/window.h"
#include "state/keyed_table.h"
#include "state/keyed_value.h"
#include "state/operator_state.h"
#include "state/timers.h"

namespace tidemill {

enum class Revisions : std::uint8_t {
  kChanges,     // Change<Row>: a row that no longer holds is deleted
  kAppendOnly,  // Row: what was given out stays; for sinks that cannot take anything back
};

// KeyOf: key of a record. Finish: what a row carries of an accumulator.
// Port 0: Change<Windowed<Key, Result>> or Windowed<Key, Result>, at the session's end. What
// identifies a row is key and window; the value of a deleted one is what the session held when it
// grew. Port 1: records too late, as they came.
//
// State: the sessions of a key in one value, and one timer per key, for the first instant at which
// something happens to it. A session that grows leaves the timer as it is: when it goes off too
// early it is set anew. Sessions are dropped when end + allowed lateness is passed.
//
// A session has the row of its close once watermark > end, its last instant being its end: a record
// at that time still touches it.
template <class In, class A, class KeyOf, class Finish = FinishWithResult,
          Revisions kRevisions = Revisions::kChanges>
requires Accumulator<A, In>
class SessionWindow final : public OneInput<In> {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Result = std::remove_cvref_t<std::invoke_result_t<const Finish&, const A&>>;
  using Row = Windowed<Key, Result>;
  using Out = std::conditional_t<kRevisions == Revisions::kChanges, Change<Row>, Row>;

  // Throws Error(kConfig) for impossible options, or if the checkpoint was made with another gap.
  SessionWindow(OperatorContext& ctx, Session session, WindowOptions options, KeyOf key_of,
                Finish finish = {})
      : gap_(session.gap),
        options_(check(session, options)),
        only_closes_(!options.on_update && !options.early && !options.early_processing &&
                     options.allowed_lateness == Duration::zero()),
        finish_(std::move(finish)),
        groups_(ctx.key_groups()),
        clock_(ctx.clock()),
        batch_keys_(std::move(key_of)),
        keys_(ctx, "sessions"),
        timers_(ctx, "timers"),
        done_(ctx, "done"),
        progress_(ctx, "progress"),
        out_(ctx.output<Out>(0)),
        late_(ctx, OutputPort<In>{1}) {
    if (options_.changes_only) last_.emplace(ctx, "last");
    if (options_.early_processing) changed_.emplace(ctx, "changed");
    restore(ctx.name());
    next_early_processing_ = next_alarm();
  }

  void process(Batch<In>& batch) override {
    const std::span<const KeyRef<Key>> refs = batch_keys_.read(batch);
    if (done_.min() < progress_->watermark) catch_up(refs);
    keys_.update(refs, [&](std::size_t i, State& state) { take(batch[i], refs[i], state); });
    end_batch();
  }

  Progress on_watermark(EventTime watermark) override {
    progress_->watermark = std::max(progress_->watermark, watermark);
    return fire();
  }

  Progress on_end() override { return on_watermark(EventTime::max()); }

  void on_tick() override {
    if (!options_.early_processing || clock_.processing_time() < next_early_processing_) return;
    next_early_processing_ = next_alarm();
    for (KeyGroup group = groups_.begin; group < groups_.end; ++group) {
      changed_->for_each_in_group(group,
                                  [&](const Key& key, std::uint64_t hash, const ChangedKey&) {
                                    due_.push_back({{}, key, hash});
                                  });
      for (const DueTimer& due : due_) {
        changed_->erase(due.key, due.hash);
        State* state = keys_.find_for_update(due.key, due.hash);
        if (state == nullptr) continue;
        for (SessionOfKey& s : state->sessions) {
          if (s.has_changed && !is_passed(s.window.end)) give_out(due.key, due.hash, s);
        }
      }
      due_.clear();
    }
  }

 private:
  using State = KeySessions<A>;
  using SessionOfKey = SessionContent<A>;

  struct OperatorProgress {
    EventTime watermark = EventTime::min();
    Duration gap{};
    BOOST_DESCRIBE_CLASS(OperatorProgress, (), (watermark, gap), (), ())
  };
  // There is no more to it than that a session of the key has changed since its last row.
  struct ChangedKey {
    BOOST_DESCRIBE_CLASS(ChangedKey, (), (), (), ())
  };
  struct DueTimer {
    EventTime time;
    Key key;
    std::uint64_t hash;
  };

  static WindowOptions check(const Session& session, const WindowOptions& options) {
    if (session.gap <= Duration::zero())
      throw Error(ErrorCode::kConfig, "the gap of a session must be positive: " +
                                          std::to_string(session.gap.count()) + " ms");
    check_options(options, std::equality_comparable<Result>);
    return options;
  }

  void restore(const std::string& name) {
    progress_->gap = gap_;
    for (const OperatorProgress& former : progress_.restored()) {
      if (former.gap != gap_)
        throw Error(ErrorCode::kConfig,
                    "the checkpoint was made with another gap of sessions; keep it as it was, or "
                    "give the operator another name: " +
                        name);
      progress_->watermark = std::max(progress_->watermark, former.watermark);
    }
  }

  // At the end of input everything is, also what saturates.
  [[nodiscard]] bool is_passed(EventTime t) const {
    return progress_->watermark > t || progress_->watermark == EventTime::max();
  }

  // A firing is not finished: what it still owes to keys it has not come to must not see the
  // batch, nor any of its records another one's session.
  void catch_up(std::span<const KeyRef<Key>> refs) {
    for (const KeyRef<Key>& ref : refs) {
      if (done_[key_group_of(ref.hash, groups_.groups)] >= progress_->watermark) continue;
      State* state = keys_.find_for_update(*ref.key, ref.hash);
      if (state != nullptr) settle(*ref.key, ref.hash, *state);
    }
  }

  void take(Record<In>& record, const KeyRef<Key>& ref, State& state) {
    const Window window{record.time, record.time + gap_};
    auto [first, last] = state.touching(window);
    if (first == last) {
      if (is_passed(window.end + options_.allowed_lateness)) {
        late_.give(std::move(record.value), record.time, progress_->watermark, batch_keys_);
        if (state.sessions.empty()) emptied_.push_back(ref);
        return;
      }
      // Built aside: inserting may move the others.
      SessionOfKey fresh;
      fresh.window = window;
      first = &*state.sessions.insert(state.sessions.begin() + (first - state.sessions.data()),
                                      std::move(fresh));
    } else {
      grow(ref, state, first, last, window);
    }
    add_to(first->content, record.value, Stamp{record.time});
    if (only_closes_) {
      arm(first->window.end, ref, state);
      return;
    }
    first->has_changed = true;
    if (options_.early) first->early_at = next_early(first->window);
    if (touched_.empty() || touched_.back().key != ref.key) touched_.push_back(ref);
  }

  // The sessions [first, last) and `window` become one, `first`. Rows of windows that are no more
  // are deleted at the end of the batch.
  void grow(const KeyRef<Key>& ref, State& state, SessionOfKey* first, SessionOfKey* last,
            const Window& window) {
    const Window whole{std::min(first->window.start, window.start),
                       std::max((last - 1)->window.end, window.end)};
    if (last - first == 1 && !first->has_row) {
      first->window = whole;
      return;
    }
    if (whole == first->window) return;
    for (SessionOfKey* s = first; s != last; ++s) {
      if constexpr (kRevisions == Revisions::kChanges) {
        if (s->has_row) gone_.push_back(Out::remove(Row{*ref.key, s->window, finish_(s->content)}));
      }
      if (last_) last_->erase(*ref.key, ref.hash, s->window.start);
    }
    for (SessionOfKey* s = first + 1; s != last; ++s) first->content.merge(s->content);
    first->window = whole;
    first->is_closed = false;
    first->has_row = false;
    state.sessions.erase(state.sessions.begin() + (first + 1 - state.sessions.data()),
                         state.sessions.begin() + (last - state.sessions.data()));
  }

  // First the rows that are no more, then one for each session that is closed and was updated, with
  // on_update for each that was touched.
  void end_batch() {
    for (Out& row : gone_) emit_gone(std::move(row));
    gone_.clear();
    for (const KeyRef<Key>& ref : touched_) {
      State& state = *keys_.find_for_update(*ref.key, ref.hash);
      bool has_changed = false;
      for (SessionOfKey& s : state.sessions) {
        const bool is_over = is_passed(s.window.end);
        if (s.has_changed && (is_over || options_.on_update)) give_out(*ref.key, ref.hash, s);
        s.is_closed = is_over;
        has_changed = has_changed || s.has_changed;
      }
      if (changed_ && has_changed) changed_->at(*ref.key, ref.hash);
      arm(next_due(state), ref, state);
    }
    touched_.clear();
    for (const KeyRef<Key>& ref : emptied_) {
      const State* state = keys_.find(*ref.key, ref.hash);
      if (state != nullptr && state->sessions.empty()) keys_.erase(*ref.key, ref.hash);
    }
    emptied_.clear();
  }

  // What the watermark has passed takes effect on a key, as often as one likes.
  void settle(const Key& key, std::uint64_t hash, State& state) {
    const EventTime watermark = progress_->watermark;
    for (SessionOfKey& s : state.sessions) {
      if (s.is_closed) continue;
      if (s.early_at != EventTime::max() && s.early_at <= watermark) give_out(key, hash, s);
      if (!is_passed(s.window.end)) continue;
      if (!options_.on_update) give_out(key, hash, s);
      s.is_closed = true;
    }
    const auto is_over = [&](const SessionOfKey& s) {
      if (!is_passed(s.window.end + options_.allowed_lateness)) return false;
      if (last_) last_->erase(key, hash, s.window.start);
      return true;
    };
    state.sessions.erase(std::remove_if(state.sessions.begin(), state.sessions.end(), is_over),
                         state.sessions.end());
  }

  // The next instant whose passing matters to the key.
  [[nodiscard]] EventTime next_due(const State& state) const {
    EventTime next = EventTime::max();
    for (const SessionOfKey& s : state.sessions) {
      next = std::min(next, s.is_closed ? s.window.end + options_.allowed_lateness : s.window.end);
      next = std::min(next, s.early_at - Duration(1));  // due when it is reached
    }
    return next;
  }

  // Sees to it that the key is woken once `next` is passed, the end of input at the latest.
  void arm(EventTime next, const KeyRef<Key>& ref, State& state) {
    next = std::min(next, EventTime{EventTime::max().ms - 1});
    if (next >= state.timer) return;
    timers_.set(next, *ref.key, ref.hash);
    state.timer = next;
  }

  // The first multiple of `early` after the window's start that the watermark has not reached; none
  // after its end.
  [[nodiscard]] EventTime next_early(const Window& window) const {
    const EventTime start = window.start;
    const EventTime from = std::max(start, progress_->watermark);
    const EventTime next =
        floor_to(from, *options_.early, Duration(start.ms % options_.early->count())) +
        *options_.early;
    return next <= window.end ? next : EventTime::max();
  }

  // A bounded number of timers: all of them are taken first, so that their keys are loaded
  // together.
  Progress fire() {
    const EventTime watermark = progress_->watermark;
    if (done_.min() >= watermark) return Progress::kDone;
    const Progress progress =
        timers_.fire_due(watermark, options_.firing_budget,
                         [&](EventTime time, const Key& key, std::uint64_t hash, std::uint64_t) {
                           due_.push_back({time, key, hash});
                         });
    fire_collected();
    timers_.note_fired(done_, watermark);
    return progress;
  }

  void fire_collected() {
    due_refs_.clear();
    for (const DueTimer& due : due_) due_refs_.push_back({&due.key, due.hash});
    keys_.prefetch(due_refs_);
    for (PlaceAhead place = 0; place < due_.size(); ++place) {
      const DueTimer& due = due_[place];
      State* state = keys_.find_for_update(due.key, due.hash, place);
      if (state == nullptr || state->timer != due.time)
        continue;  // forgotten, or an earlier timer has taken over
      state->timer = EventTime::max();
      settle(due.key, due.hash, *state);
      if (state->sessions.empty()) {
        keys_.erase(due.key, due.hash, place);
      } else {
        arm(next_due(*state), {&due.key, due.hash}, *state);
      }
    }
    due_.clear();
  }

  void give_out(const Key& key, std::uint64_t hash, SessionOfKey& s) {
    s.has_changed = false;
    s.early_at = EventTime::max();
    Result result = finish_(s.content);
    if constexpr (std::equality_comparable<Result>) {
      if (last_) {
        const A* last = last_->get(key, hash, s.window.start);
        if (s.has_row && last != nullptr && finish_(*last) == result) return;
        last_->put(key, hash, s.window.start, s.content);
      }
    }
    Row row{key, s.window, std::move(result)};
    if constexpr (kRevisions == Revisions::kChanges) {
      out_.emit({s.has_row ? ChangeKind::kUpdate : ChangeKind::kInsert, std::move(row)},
                s.window.end);
    } else {
      out_.emit(std::move(row), s.window.end);
    }
    s.has_row = true;
  }

  void emit_gone(Out row) {
    if constexpr (kRevisions == Revisions::kChanges) {
      const EventTime end = row.row.window.end;
      out_.emit(std::move(row), end);
    }
  }

  [[nodiscard]] EventTime next_alarm() const {
    if (!options_.early_processing) return EventTime::max();
    return floor_to(clock_.processing_time(), *options_.early_processing) +
           *options_.early_processing;
  }

  const Duration gap_;
  const WindowOptions options_;
  const bool only_closes_;  // a session's only row is that of its close
  const Finish finish_;
  const KeyGroupRange groups_;
  const Clock& clock_;
  BatchKeys<In, KeyOf> batch_keys_;
  KeyedValue<Key, State> keys_;
  Timers<Key> timers_;
  std::optional<KeyedTable<Key, EventTime, A>> last_;   // what the last row of a session, by its
                                                        // start, was made of; for changes_only
  std::optional<KeyedValue<Key, ChangedKey>> changed_;  // for early_processing
  KeyGroupClocks done_;
  OperatorState<OperatorProgress> progress_;
  Emitter<Out>& out_;
  LateRecords<In> late_;
  EventTime next_early_processing_ = EventTime::max();
  // Empty between calls.
  std::vector<Out> gone_;
  std::vector<KeyRef<Key>> touched_;
  std::vector<KeyRef<Key>> emptied_;
  std::vector<DueTimer> due_;
  std::vector<KeyRef<Key>> due_refs_;
};

}  // namespace tidemill
