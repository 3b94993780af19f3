// As-of (temporal) join: each left row, a probe, meets the newest right row, a version, of its key
// at or before its own time (docs/semantics.md 4).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/batch_keys.h"
#include "operators/join.h"
#include "operators/late_records.h"
#include "operators/row_list.h"
#include "state/keyed_value.h"
#include "state/operator_state.h"
#include "state/timers.h"

namespace tidemill {

struct AsofJoinOptions {
  // kInner, or kLeft: probes without a version come out too.
  JoinType type = JoinType::kInner;
  // Answers after which a firing lets other messages pass.
  std::size_t firing_budget = 4096;
};

// Which versions say that from their time on the key has none: those of a changelog that say so.
struct DeletesOfChanges {
  template <class R>
  bool operator()(const R& version) const {
    if constexpr (requires { version.is_delete(); }) {
      return version.is_delete();
    } else {
      return false;
    }
  }
};

// F: see JoinRows; left is the probe. IsDelete: bool(const R&). Keys need operator<, which orders
// the answers of one instant.
// Port 0: an answer at the probe's time, once both watermarks have passed it. Port 1: probes behind
// the operator's watermark. Port 2: versions behind it that are not the newest at or behind it.
// Answers given are not corrected.
//
// State per key: probes that wait, and versions: the newest at or behind the watermark, also if it
// is a deletion (it tells late versions from accepted ones), and all after it. Timers, at the times
// of probes and versions: they answer, and drop versions that no probe can ask for any more.
template <class L, class R, class LeftKey, class RightKey, class F = MakeJoined,
          class IsDelete = DeletesOfChanges>
class AsofJoin final : public TwoInput<L, R> {
 public:
  using Key = typename BatchKeys<L, LeftKey>::Key;
  using Out = typename JoinRows<L, R, F>::Row;
  static constexpr OutputPort<L> kLateLeft{1};
  static constexpr OutputPort<R> kLateRight{2};

  // Throws Error(kConfig) for a type that is neither inner nor left.
  AsofJoin(OperatorContext& ctx, const AsofJoinOptions& options, LeftKey left_key,
           RightKey right_key, F f = {}, IsDelete is_delete = {})
      : options_(check(options)),
        rows_(std::move(f), options.type),
        is_delete_(std::move(is_delete)),
        groups_(ctx.key_groups()),
        left_keys_(std::move(left_key)),
        right_keys_(std::move(right_key)),
        probes_(ctx, "probes"),
        versions_(ctx, "versions"),
        timers_(ctx, "timers"),
        watermark_(ctx, "watermark"),
        out_(ctx.output<Out>(0)),
        late_left_(ctx, kLateLeft, "left"),
        late_right_(ctx, kLateRight, "right") {
    *watermark_ = EventTime::min();
    for (const EventTime before : watermark_.restored())
      *watermark_ = std::max(*watermark_, before);
  }

  void process_left(Batch<L>& batch) override {
    batch.erase_if([&](Record<L>& record) {
      if (record.time >= *watermark_) return false;
      late_left_.give(std::move(record.value), record.time, *watermark_, left_keys_);
      return true;
    });
    const std::span<const KeyRef<Key>> refs = left_keys_.read(batch);
    probes_.prefetch(refs);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      auto& [probe, time] = batch[i];
      const auto& [key, hash] = refs[i];
      timers_.set(time, *key, hash, kAnswer);
      RowList<L>& waiting =
          probes_.at(*key, hash, i);  // before the key may be moved with the probe
      waiting.insert(time, false, std::move(probe));
    }
  }

  void process_right(Batch<R>& batch) override {
    const std::span<const KeyRef<Key>> refs = right_keys_.read(batch);
    versions_.prefetch(refs);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      auto& [version, time] = batch[i];
      const auto& [key, hash] = refs[i];
      if (time < *watermark_) {
        if (!is_newest_behind(*key, hash, time, i)) {
          late_right_.give(std::move(version), time, *watermark_, right_keys_);
          continue;
        }
        // A firing is not finished: what it still owes must not see the version.
        catch_up(hash);
        Versions& versions = put(*key, hash, time, version, i);
        if (is_passed_by(versions, time)) drop_before(versions, time);
      } else {
        timers_.set(time, *key, hash, kDrop);
        put(*key, hash, time, version, i);
      }
    }
  }

  Progress on_watermark(EventTime watermark) override {
    *watermark_ = std::max(*watermark_, watermark);
    return timers_.fire_due(*watermark_, options_.firing_budget, firing());
  }
  Progress on_end() override { return on_watermark(EventTime::max()); }

 private:
  using Versions = std::map<EventTime, std::optional<R>>;  // nothing: a deletion

  // What a timer is for; of one instant answers come first.
  static constexpr std::uint64_t kAnswer = 0;
  static constexpr std::uint64_t kDrop = 1;

  static const AsofJoinOptions& check(const AsofJoinOptions& options) {
    if (pads_right(options.type))
      throw Error(ErrorCode::kConfig, "an as-of join is inner or left: its right side is versions");
    return options;
  }

  // Whether no version is newer among those at or behind the watermark.
  [[nodiscard]] bool is_newest_behind(const Key& key, std::uint64_t hash, EventTime time,
                                      PlaceAhead ahead) {
    const Versions* versions = versions_.find(key, hash, ahead);
    if (versions == nullptr) return true;
    const auto newer = versions->upper_bound(time);
    return newer == versions->end() || newer->first > *watermark_;
  }
  // The key may lie in `version`, which is moved from.
  Versions& put(const Key& key, std::uint64_t hash, EventTime time, R& version, PlaceAhead ahead) {
    Versions& versions = versions_.at(key, hash, ahead);
    std::optional<R>& place = versions[time];
    if (is_delete_(version)) {
      place.reset();
    } else {
      place = std::move(version);
    }
    return versions;
  }
  // Drops what is older than the newest version at or before `time`.
  void drop_before(const Key& key, std::uint64_t hash, EventTime time) {
    const Versions* versions = versions_.find(key, hash);
    if (versions != nullptr && is_passed_by(*versions, time))
      drop_before(*versions_.find_for_update(key, hash), time);
  }
  static bool is_passed_by(const Versions& versions, EventTime time) {
    return versions.size() > 1 && versions.begin()->first < time;
  }
  static void drop_before(Versions& versions, EventTime time) {
    versions.erase(versions.begin(), std::prev(versions.upper_bound(time)));
  }

  void catch_up(std::uint64_t hash) {
    (void)timers_.fire_due(key_group_of(hash, groups_.groups), *watermark_,
                           std::numeric_limits<std::size_t>::max(), firing());
  }
  auto firing() {
    return [this](EventTime time, const Key& key, std::uint64_t hash, std::uint64_t what) {
      if (what == kDrop) {
        drop_before(key, hash, time);
      } else {
        answer(key, hash, time);
      }
    };
  }

  // The key's probes of this instant, which are the first that wait.
  void answer(const Key& key, std::uint64_t hash, EventTime time) {
    const Versions* versions = versions_.find(key, hash);
    const R* version = nullptr;
    if (versions != nullptr) {
      if (const auto newer = versions->upper_bound(time); newer != versions->begin()) {
        const std::optional<R>& newest = std::prev(newer)->second;
        version = newest ? &*newest : nullptr;
      }
    }
    RowList<L>& waiting = *probes_.find_for_update(key, hash);
    const auto due = waiting.between(time, time);
    if (version != nullptr || pads_left(options_.type)) {
      for (const StoredRow<L>& probe : due) out_.emit(rows_(&probe.value, version), time);
    }
    waiting.erase_first(due.size());
    if (waiting.empty()) probes_.erase(key, hash);
  }

  const AsofJoinOptions options_;
  const JoinRows<L, R, F> rows_;
  const IsDelete is_delete_;
  const KeyGroupRange groups_;
  BatchKeys<L, LeftKey> left_keys_;
  BatchKeys<R, RightKey> right_keys_;
  KeyedValue<Key, RowList<L>> probes_;
  KeyedValue<Key, Versions> versions_;
  Timers<Key> timers_;
  OperatorState<EventTime> watermark_;
  Emitter<Out>& out_;
  LateRecords<L> late_left_;
  LateRecords<R> late_right_;
};

}  // namespace tidemill
