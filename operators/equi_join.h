// Regular equi-join without a window: each pair of kept rows with the same key once
// (docs/semantics.md 4).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/describe.hpp>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/batch_keys.h"
#include "operators/changelog.h"
#include "operators/join.h"
#include "operators/row_buckets.h"
#include "state/operator_state.h"

namespace tidemill {

struct EquiJoinOptions {
  // How long after its time a row is kept, in event time; none: for ever.
  std::optional<Duration> ttl = std::nullopt;
  // No key has more than one row of this side, ever: a row of the other side is forgotten once it
  // has met it. A second one would not meet those rows. May be changed from run to run.
  bool left_is_unique = false;
  bool right_is_unique = false;
};

// F: see JoinRows. Port 0: the rows of an inner join; of the others a changelog, Change<Row>, in
// which a row without a partner is inserted at once and, when the first partner comes, deleted
// before the pair is inserted. The time of all that a pair causes is the greater of its two. Such
// rows may be behind the watermark; nothing that comes in is late.
//
// State: each side's rows. With a TTL a row is kept until the watermark has passed its time + ttl;
// it meets no later row then, whatever its bucket (a quarter of the TTL) still holds. What it has
// caused stays as it is. A row that is too old to be kept still meets those that are. A row that
// has met the only partner it can have is not kept.
template <JoinType Type, class L, class R, class LeftKey, class RightKey, class F = MakeJoined>
class EquiJoin final : public TwoInput<L, R> {
 public:
  using Key = typename BatchKeys<L, LeftKey>::Key;
  using Row = typename JoinRows<L, R, F>::Row;
  static constexpr bool kIsChangelog = Type != JoinType::kInner;
  using Out = std::conditional_t<kIsChangelog, Change<Row>, Row>;

  // Throws Error(kConfig) if the TTL is not positive, or if the checkpoint was made with another.
  EquiJoin(OperatorContext& ctx, const EquiJoinOptions& options, LeftKey left_key,
           RightKey right_key, F f = {})
      : options_(check(options)),
        rows_(std::move(f), Type),
        left_(ctx, "left", std::move(left_key), bucket_width(), options.left_is_unique),
        right_(ctx, "right", std::move(right_key), bucket_width(), options.right_is_unique),
        progress_(ctx, "progress"),
        out_(ctx.output<Out>(0)) {
    progress_->ttl = options_.ttl;
    for (const OperatorProgress& former : progress_.restored()) {
      if (former.ttl != options_.ttl) {
        throw Error(ErrorCode::kConfig,
                    "the checkpoint was made with another TTL; keep it as it was, or give the "
                    "operator another name: " +
                        ctx.name());
      }
      progress_->watermark = std::max(progress_->watermark, former.watermark);
    }
  }

  void process_left(Batch<L>& batch) override {
    process<pads_left(Type), pads_right(Type)>(left_, right_, batch,
                                               [&](const L* l, const R* r) { return rows_(l, r); });
  }
  void process_right(Batch<R>& batch) override {
    process<pads_right(Type), pads_left(Type)>(right_, left_, batch,
                                               [&](const R* r, const L* l) { return rows_(l, r); });
  }

  Progress on_watermark(EventTime watermark) override {
    progress_->watermark = std::max(progress_->watermark, watermark);
    if (options_.ttl) {
      left_.rows.drop_before(kept_from());
      right_.rows.drop_before(kept_from());
    }
    return Progress::kDone;
  }

 private:
  template <class T, class KeyOf>
  struct Side {
    Side(OperatorContext& ctx, const std::string& name, KeyOf key_of, Duration width, bool unique)
        : is_unique(unique), keys(std::move(key_of)), rows(ctx, name, width) {}
    const bool is_unique;
    BatchKeys<T, KeyOf> keys;
    RowBuckets<Key, T> rows;  // marked: has had a partner; only where the side is padded
  };
  struct OperatorProgress {
    EventTime watermark = EventTime::min();
    std::optional<Duration> ttl;
    BOOST_DESCRIBE_CLASS(OperatorProgress, (), (watermark, ttl), (), ())
  };

  struct Kept {
    std::size_t number;  // in the batch
    bool has_partner;
  };

  static const EquiJoinOptions& check(const EquiJoinOptions& options) {
    if (options.ttl && *options.ttl <= Duration::zero())
      throw Error(ErrorCode::kConfig, "the TTL of a join must be positive");
    return options;
  }
  [[nodiscard]] Duration bucket_width() const {
    return options_.ttl ? std::max(*options_.ttl / 4, Duration(1s)) : Duration::max();
  }
  [[nodiscard]] EventTime kept_from() const {
    return options_.ttl ? progress_->watermark - *options_.ttl : EventTime::min();
  }

  template <bool kPadsMine, bool kPadsOther, class Mine, class Other, class T, class RowOf>
  void process(Mine& mine, Other& other, Batch<T>& batch, RowOf&& row_of) {
    const std::span<const KeyRef<Key>> refs = mine.keys.read(batch);
    const EventTime from = kept_from();
    other.rows.prefetch(
        refs, [&](std::size_t) { return from; }, [](std::size_t) { return EventTime::max(); });
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const T& value = batch[i].value;
      const EventTime time = batch[i].time;
      const auto& [key, hash] = refs[i];
      bool has_partner = false;
      bool has_new_partner = false;
      const auto meet = [&](const auto& row) {
        has_partner = true;
        const EventTime at = std::max(time, row.time);
        if constexpr (kPadsOther) {
          if (!row.is_marked) {
            has_new_partner = true;
            out_.emit(Out::remove(row_of(nullptr, &row.value)), at);
          }
        }
        insert(row_of(&value, &row.value), at);
      };
      other.rows.for_each_between(*key, hash, from, EventTime::max(), meet, i);
      if (mine.is_unique) {
        if (has_partner) other.rows.erase(*key, hash);
      } else if (has_new_partner) {
        other.rows.mark(*key, hash, from, EventTime::max());
      }
      if constexpr (kPadsMine) {
        if (!has_partner) insert(row_of(&value, nullptr), time);
      }
      if (time >= from && !(other.is_unique && has_partner)) {
        kept_.push_back({i, has_partner});
        kept_keys_.push_back(refs[i]);
      }
    }
    // Rows of one side do not see each other, so all may be kept at the end.
    mine.rows.insert_all(kept_keys_, [&](std::size_t n) {
      Record<T>& record = batch[kept_[n].number];
      return typename decltype(mine.rows)::Row{record.time, kept_[n].has_partner, &record.value};
    });
    kept_.clear();
    kept_keys_.clear();
  }
  void insert(Row row, EventTime time) {
    if constexpr (kIsChangelog) {
      out_.emit(Out::insert(std::move(row)), time);
    } else {
      out_.emit(std::move(row), time);
    }
  }

  const EquiJoinOptions options_;
  const JoinRows<L, R, F> rows_;
  Side<L, LeftKey> left_;
  Side<R, RightKey> right_;
  OperatorState<OperatorProgress> progress_;
  Emitter<Out>& out_;
  // Empty between calls: the rows of a batch that are to be kept.
  std::vector<Kept> kept_;
  std::vector<KeyRef<Key>> kept_keys_;
};

}  // namespace tidemill
