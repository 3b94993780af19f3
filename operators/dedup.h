// Deduplication of keyed streams: the first or the last record of each key (docs/semantics.md 4.1).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <boost/describe.hpp>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/batch_keys.h"
#include "operators/changelog.h"
#include "operators/late_records.h"
#include "state/keyed_value.h"
#include "state/operator_state.h"
#include "state/timers.h"

namespace tidemill {

struct DedupOptions {
  // Records that are less than this later than the one that went out are its duplicates; the next
  // one is a new first. None: every later one is a duplicate, for ever.
  std::optional<Duration> within = std::nullopt;
  // Timers after which a firing lets other messages pass.
  std::size_t firing_budget = 4096;
};

// Keeps the record with the smallest time of its key, of several the one that came first. Since an
// earlier one may still come, it goes out (port 0, as it came) once the watermark has passed its
// time. Behind the watermark: late (port 1). In must be storable (state/codec.h).
//
// State: the records that wait (without `within` at most one for each key), and when the last one
// went out: with `within` until that interval has passed, otherwise for ever.
template <class In, class KeyOf>
class DedupFirst final : public OneInput<In> {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Out = In;

  DedupFirst(OperatorContext& ctx, DedupOptions options, KeyOf key_of)
      : options_(check(options)),
        groups_(ctx.key_groups()),
        batch_keys_(std::move(key_of)),
        keys_(ctx, "keys"),
        timers_(ctx, "timers"),
        progress_(ctx, "progress"),
        out_(ctx.output<In>(0)),
        late_(ctx, OutputPort<In>{1}),
        duplicate_count_(ctx.counter("tidemill_duplicate_records_total")) {
    for (const OperatorProgress& former : progress_.restored())
      progress_->watermark = std::max(progress_->watermark, former.watermark);
  }

  void process(Batch<In>& batch) override {
    const std::span<const KeyRef<Key>> refs = batch_keys_.read(batch);
    keys_.prefetch(refs);
    for (std::size_t i = 0; i < batch.size(); ++i) take(batch[i], *refs[i].key, refs[i].hash, i);
  }

  Progress on_watermark(EventTime watermark) override {
    progress_->watermark = std::max(progress_->watermark, watermark);
    return timers_.fire_due(progress_->watermark, options_.firing_budget,
                            [&](EventTime time, const Key& key, std::uint64_t hash, std::uint64_t) {
                              wake(time, key, hash);
                            });
  }
  Progress on_end() override { return on_watermark(EventTime::max()); }

 private:
  struct Waiting {
    EventTime time;
    In value;
    BOOST_DESCRIBE_CLASS(Waiting, (), (time, value), (), ())
  };
  struct OfKey {
    std::vector<Waiting> waiting;        // by time, of each time the first that came
    std::optional<EventTime> last;       // that went out
    EventTime timer = EventTime::max();  // the first one that is set
    BOOST_DESCRIBE_CLASS(OfKey, (), (waiting, last, timer), (), ())
  };
  struct OperatorProgress {
    EventTime watermark = EventTime::min();
    BOOST_DESCRIBE_CLASS(OperatorProgress, (), (watermark), (), ())
  };

  static DedupOptions check(const DedupOptions& options) {
    if (options.within && *options.within <= Duration::zero())
      throw Error(ErrorCode::kConfig, "the interval of a deduplication must be positive");
    return options;
  }

  void take(Record<In>& record, const Key& key, std::uint64_t hash, PlaceAhead ahead) {
    if (record.time < progress_->watermark) {
      late_.give(std::move(record.value), record.time, progress_->watermark, batch_keys_);
      return;
    }
    const OfKey* known = keys_.find(key, hash, ahead);
    if (known != nullptr && is_duplicate(*known, record.time)) {
      duplicate_count_.add();
      return;
    }
    OfKey& state = keys_.at(key, hash, ahead);
    wake_at(record.time, key, hash, state);  // before the record moves: the key is part of it
    const auto place =
        std::lower_bound(state.waiting.begin(), state.waiting.end(), record.time,
                         [](const Waiting& w, EventTime time) { return w.time < time; });
    if (!options_.within && place != state.waiting.end()) {
      duplicate_count_.add();  // the one that was first so far
      *place = {record.time, std::move(record.value)};
    } else {
      state.waiting.insert(place, Waiting{record.time, std::move(record.value)});
    }
  }

  // Whatever may still come or go out before it.
  [[nodiscard]] bool is_duplicate(const OfKey& state, EventTime time) const {
    if (state.last && is_covered(*state.last, time)) return true;
    if (state.waiting.empty()) return false;
    if (!options_.within) return state.waiting.front().time <= time;
    const auto place = std::lower_bound(state.waiting.begin(), state.waiting.end(), time,
                                        [](const Waiting& w, EventTime t) { return w.time < t; });
    return place != state.waiting.end() && place->time == time;
  }
  [[nodiscard]] bool is_covered(EventTime first, EventTime time) const {
    return !options_.within || time < first + *options_.within;
  }

  void wake(EventTime time, const Key& key, std::uint64_t hash) {
    OfKey* state = keys_.find_for_update(key, hash);
    if (state == nullptr || state->timer != time) return;  // an earlier timer has done it
    state->timer = EventTime::max();
    std::size_t passed = 0;
    for (; passed < state->waiting.size(); ++passed) {
      Waiting& first = state->waiting[passed];
      if (first.time >= progress_->watermark) break;
      if (state->last && is_covered(*state->last, first.time)) {
        duplicate_count_.add();
        continue;
      }
      state->last = first.time;
      out_.emit(std::move(first.value), first.time);
    }
    state->waiting.erase(state->waiting.begin(),
                         state->waiting.begin() + static_cast<std::ptrdiff_t>(passed));
    const bool is_over = options_.within && state->waiting.empty() &&
                         (!state->last || forget_at(*state->last) < progress_->watermark);
    if (is_over) {
      keys_.erase(key, hash);
    } else {
      arm(key, hash, *state);
    }
  }

  // The last instant at which a duplicate may lie.
  [[nodiscard]] EventTime forget_at(EventTime last) const {
    return last + (*options_.within - Duration(1));
  }

  void arm(const Key& key, std::uint64_t hash, OfKey& state) {
    if (!state.waiting.empty()) {
      wake_at(state.waiting.front().time, key, hash, state);
    } else if (state.last && options_.within) {
      wake_at(forget_at(*state.last), key, hash, state);
    }
  }
  void wake_at(EventTime time, const Key& key, std::uint64_t hash, OfKey& state) {
    if (time >= state.timer) return;
    timers_.set(time, key, hash);
    state.timer = time;
  }

  const DedupOptions options_;
  const KeyGroupRange groups_;
  BatchKeys<In, KeyOf> batch_keys_;
  KeyedValue<Key, OfKey> keys_;
  Timers<Key> timers_;
  OperatorState<OperatorProgress> progress_;
  Emitter<In>& out_;
  LateRecords<In> late_;
  Counter& duplicate_count_;
};

// Keeps the record with the greatest time of its key, of several the one that came last: at the end
// of each batch one row for each key to which the batch brought such a record, an insert the first
// time, then updates. The row is identified by its key. Nothing is late; older records are dropped
// and counted. State: a time per key, for ever.
template <class In, class KeyOf>
class DedupLast final : public OneInput<In> {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Out = Change<In>;

  DedupLast(OperatorContext& ctx, KeyOf key_of)
      : batch_keys_(std::move(key_of)),
        last_(ctx, "last"),
        out_(ctx.output<Out>(0)),
        duplicate_count_(ctx.counter("tidemill_duplicate_records_total")) {}

  void process(Batch<In>& batch) override {
    const std::span<const KeyRef<Key>> refs = batch_keys_.read(batch);
    ++batch_number_;
    last_.update(refs, [&](std::size_t i, Last& last) {
      const EventTime time = batch[i].time;
      if (last.is_known && time < last.time) {
        duplicate_count_.add();
        return;
      }
      const auto row = static_cast<std::uint32_t>(i);
      if (last.batch == batch_number_) {
        rows_[last.row].record = row;
        duplicate_count_.add();
      } else {
        last.batch = batch_number_;
        last.row = static_cast<std::uint32_t>(rows_.size());
        rows_.push_back({row, last.is_known ? ChangeKind::kUpdate : ChangeKind::kInsert});
      }
      last.time = time;
      last.is_known = true;
    });
    for (const Row& row : rows_) {
      Record<In>& record = batch[row.record];
      out_.emit_made(record.time, [&](Out& change) {
        change.kind = row.kind;
        change.row = std::move(record.value);
      });
    }
    rows_.clear();
  }

 private:
  struct Last {
    EventTime time{};
    std::uint64_t batch = 0;  // not stored: the batch in which a row of it was noted, and which
    std::uint32_t row = 0;
    bool is_known = false;
    BOOST_DESCRIBE_CLASS(Last, (), (time, is_known), (), ())
  };
  struct Row {
    std::uint32_t record;
    ChangeKind kind;
  };

  BatchKeys<In, KeyOf> batch_keys_;
  KeyedValue<Key, Last> last_;
  Emitter<Out>& out_;
  Counter& duplicate_count_;
  std::uint64_t batch_number_ = 0;
  std::vector<Row> rows_;  // empty between calls
};

}  // namespace tidemill
