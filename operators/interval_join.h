// Interval join: a left row of time l and a right one of time r with the same key are a pair if
// l + lower <= r <= l + upper (docs/semantics.md 4). Rows without a partner come out when nothing
// can match them any more, and only then.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/describe.hpp>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/batch_keys.h"
#include "operators/join.h"
#include "operators/late_records.h"
#include "operators/row_buckets.h"
#include "state/operator_state.h"
#include "state/timers.h"

namespace tidemill {

struct IntervalJoinOptions {
  // Both inclusive; either may be negative.
  Duration lower;
  Duration upper;
  JoinType type = JoinType::kInner;
  // Rows without a partner after which a firing lets other messages pass.
  std::size_t firing_budget = 4096;
};

// F: see JoinRows. Port 0: its rows, a pair at the greater of the two times, a row without a
// partner at its own. Ports 1 and 2: left and right rows behind the operator's watermark, as they
// came.
//
// State: each side's rows until the watermark has passed their time + the opposite bound (and the
// rest of their bucket, a quarter of the longest of these times). For a side that is padded,
// timers: one per key and time of a row that came without a partner; they also order the firing and
// let it go on after an interruption. No record that is still to come can match what a firing owes,
// so nothing shows an interruption.
template <class L, class R, class LeftKey, class RightKey, class F = MakeJoined>
class IntervalJoin final : public TwoInput<L, R> {
 public:
  using Key = typename BatchKeys<L, LeftKey>::Key;
  using Out = typename JoinRows<L, R, F>::Row;
  static constexpr OutputPort<L> kLateLeft{1};
  static constexpr OutputPort<R> kLateRight{2};

  // Throws Error(kConfig) for impossible bounds, or if the checkpoint was made with others.
  IntervalJoin(OperatorContext& ctx, const IntervalJoinOptions& options, LeftKey left_key,
               RightKey right_key, F f = {})
      : options_(check(options)),
        rows_(std::move(f), options.type),
        left_(ctx, "left", std::move(left_key), bucket_width(), options.lower, options.upper,
              pads_left(options.type), kLateLeft),
        right_(ctx, "right", std::move(right_key), bucket_width(), -options.upper, -options.lower,
               pads_right(options.type), kLateRight),
        progress_(ctx, "progress"),
        out_(ctx.output<Out>(0)) {
    restore(ctx.name());
  }

  void process_left(Batch<L>& batch) override {
    process(left_, right_, batch,
            [&](const L* l, const R* r, EventTime time) { out_.emit(rows_(l, r), time); });
  }
  void process_right(Batch<R>& batch) override {
    process(right_, left_, batch,
            [&](const R* r, const L* l, EventTime time) { out_.emit(rows_(l, r), time); });
  }

  Progress on_watermark(EventTime watermark) override {
    progress_->watermark = std::max(progress_->watermark, watermark);
    std::size_t budget = options_.firing_budget;
    if (left_.unmatched &&
        fire(left_, budget, [&](const L& l) { return rows_(&l, nullptr); }) == Progress::kMore)
      return Progress::kMore;
    if (right_.unmatched &&
        fire(right_, budget, [&](const R& r) { return rows_(nullptr, &r); }) == Progress::kMore)
      return Progress::kMore;
    left_.rows.drop_before(decided(left_));
    right_.rows.drop_before(decided(right_));
    return Progress::kDone;
  }
  // Rows without a partner come that much later than their time.
  EventTime output_watermark(EventTime watermark) const override {
    Duration delay = Duration::zero();
    if (pads_left(options_.type)) delay = std::max(delay, options_.upper);
    if (pads_right(options_.type)) delay = std::max(delay, -options_.lower);
    return watermark - delay;
  }
  Progress on_end() override { return on_watermark(EventTime::max()); }

 private:
  template <class T, class KeyOf>
  struct Side {
    Side(OperatorContext& ctx, const std::string& name, KeyOf key_of, Duration width,
         Duration from_, Duration to_, bool pads, OutputPort<T> late_port)
        : from(from_),
          to(to_),
          keys(std::move(key_of)),
          rows(ctx, name, width),
          late(ctx, late_port, name) {
      if (pads) unmatched.emplace(ctx, name + ".unmatched");
    }

    // Partners of a row of time t are in [t + from, t + to].
    const Duration from;
    const Duration to;
    BatchKeys<T, KeyOf> keys;
    RowBuckets<Key, T> rows;               // marked: has had a partner
    std::optional<Timers<Key>> unmatched;  // at the time of the row; only if the side is padded
    LateRecords<T> late;
  };
  struct OperatorProgress {
    EventTime watermark = EventTime::min();
    Duration lower{};
    Duration upper{};
    BOOST_DESCRIBE_CLASS(OperatorProgress, (), (watermark, lower, upper), (), ())
  };

  static const IntervalJoinOptions& check(const IntervalJoinOptions& options) {
    if (options.lower > options.upper)
      throw Error(ErrorCode::kConfig, "the lower bound of an interval join is above the upper one");
    for (const Duration bound : {options.lower, options.upper}) {
      if (bound == Duration::min())
        throw Error(ErrorCode::kConfig, "a bound of an interval join is too far in the past");
    }
    return options;
  }
  [[nodiscard]] Duration bucket_width() const {
    const Duration reach = EventTime{options_.upper.count()} - EventTime{options_.lower.count()};
    const Duration longest = std::max({reach, options_.upper, -options_.lower});
    return std::max(longest / 4, Duration(1s));
  }
  void restore(const std::string& name) {
    progress_->lower = options_.lower;
    progress_->upper = options_.upper;
    for (const OperatorProgress& former : progress_.restored()) {
      if (former.lower != options_.lower || former.upper != options_.upper) {
        throw Error(ErrorCode::kConfig,
                    "the checkpoint was made with other bounds; keep lower and upper as they were, "
                    "or give the operator another name: " +
                        name);
      }
      progress_->watermark = std::max(progress_->watermark, former.watermark);
    }
  }
  // Rows before this can have no partner any more.
  template <class S>
  [[nodiscard]] EventTime decided(const S& side) const {
    return progress_->watermark - side.to;
  }

  template <class Mine, class Other, class T, class Emit>
  void process(Mine& mine, Other& other, Batch<T>& batch, Emit&& emit) {
    const std::span<const KeyRef<Key>> refs = on_time(mine, batch);
    const auto time_of = [&](std::size_t i) { return batch[i].time; };
    const auto first = [&](std::size_t i) { return time_of(i) + mine.from; };
    const auto last = [&](std::size_t i) { return time_of(i) + mine.to; };
    other.rows.prefetch(refs, first, last);
    mine.rows.prefetch(refs, time_of, time_of);
    alone_.clear();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      T& value = batch[i].value;
      const EventTime time = batch[i].time;
      const auto& [key, hash] = refs[i];
      bool has_partner = false;
      bool has_new_partner = false;
      other.rows.for_each_between(*key, hash, first(i), last(i), [&](const auto& row) {
        has_partner = true;
        has_new_partner |= !row.is_marked;
        emit(&value, &row.value, std::max(time, row.time));
      });
      if (has_new_partner && other.unmatched) other.rows.mark(*key, hash, first(i), last(i));
      if (time < decided(mine)) {
        if (!has_partner && mine.unmatched) alone_.push_back(i);
        continue;
      }
      if (!has_partner && mine.unmatched) mine.unmatched->set(time, *key, hash);
      mine.rows.insert(*key, hash, time, has_partner, std::move(value));
    }
    for (const std::size_t i : alone_) emit(&batch[i].value, nullptr, batch[i].time);
  }

  // Late rows leave the batch; the keys of the others.
  template <class Mine, class T>
  std::span<const KeyRef<Key>> on_time(Mine& mine, Batch<T>& batch) {
    batch.erase_if([&](Record<T>& record) {
      if (record.time >= progress_->watermark) return false;
      mine.late.give(std::move(record.value), record.time, progress_->watermark, mine.keys);
      return true;
    });
    return mine.keys.read(batch);
  }

  // Group by group, the rows that stayed without a partner.
  template <class Mine, class Row>
  Progress fire(Mine& mine, std::size_t& budget, Row&& row_of) {
    return mine.unmatched->fire_due(
        decided(mine), budget, [&](EventTime time, const Key& key, std::uint64_t hash, auto) {
          --budget;
          mine.rows.for_each_between(key, hash, time, time, [&](const auto& row) {
            if (!row.is_marked) out_.emit(row_of(row.value), row.time);
          });
        });
  }

  const IntervalJoinOptions options_;
  const JoinRows<L, R, F> rows_;
  Side<L, LeftKey> left_;
  Side<R, RightKey> right_;
  OperatorState<OperatorProgress> progress_;
  Emitter<Out>& out_;
  std::vector<std::size_t> alone_;  // empty between calls
};

}  // namespace tidemill
