// Sorts a stream by event time, as far as the watermark allows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <boost/describe.hpp>

#include "engine/base/hash.h"
#include "engine/operator/context.h"
#include "engine/operator/key_group.h"
#include "engine/operator/operator.h"
#include "operators/batch_keys.h"
#include "operators/late_records.h"
#include "state/keyed_value.h"
#include "state/operator_state.h"
#include "state/timers.h"

namespace tidemill {

// Where a record waits: by its arrival at a former or the present subtask, in its key's group.
struct ArrivalPlace {
  std::uint64_t number = 0;
  std::uint64_t hash = 0;  // in the key's group
  friend auto operator<=>(const ArrivalPlace&, const ArrivalPlace&) = default;
  BOOST_DESCRIBE_CLASS(ArrivalPlace, (), (number, hash), (), ())
};
template <>
struct KeyHash<ArrivalPlace> {
  static std::uint64_t of(const ArrivalPlace& place) { return place.hash; }
};

// Keeps every record until the watermark has passed its time; then each subtask gives them out in
// the order of their times (port 0), those of one time and key as they came. Behind the watermark:
// late (port 1), as it came. State: the records that wait, in memory only as far as the budget
// allows. In must be storable (state/codec.h).
template <class In, class KeyOf>
class EventTimeSort final : public OneInput<In> {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Out = In;

  // `firing_budget`: records after which a firing lets other messages pass.
  EventTimeSort(OperatorContext& ctx, KeyOf key_of, std::size_t firing_budget = 4096)
      : firing_budget_(firing_budget),
        groups_(ctx.key_groups()),
        keys_(std::move(key_of)),
        records_(ctx, "records"),
        timers_(ctx, "timers"),
        progress_(ctx, "progress"),
        out_(ctx.output<In>(0)),
        late_(ctx, OutputPort<In>{1}) {
    for (const OperatorProgress& former : progress_.restored()) {
      progress_->watermark = std::max(progress_->watermark, former.watermark);
      progress_->next = std::max(progress_->next, former.next);
    }
  }

  void process(Batch<In>& batch) override {
    const std::span<const KeyRef<Key>> refs = keys_.read(batch);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Record<In>& record = batch[i];
      if (record.time < progress_->watermark) {
        late_.give(std::move(record.value), record.time, progress_->watermark, keys_);
        continue;
      }
      const std::uint64_t number = progress_->next++;
      const KeyGroup group = key_group_of(refs[i].hash, groups_.groups);
      const ArrivalPlace place{number, hash_within(group, groups_.groups, mix64(number))};
      records_.at(place, place.hash) = std::move(record.value);
      timers_.set(record.time, place, place.hash);
    }
  }

  // Always the group whose next record is the oldest, as far as the next record of another one.
  Progress on_watermark(EventTime watermark) override {
    progress_->watermark = std::max(progress_->watermark, watermark);
    const EventTime end = progress_->watermark;
    std::vector<Next> due;
    for (KeyGroup group = groups_.begin; group < groups_.end; ++group) {
      if (timers_.fired_until(group) < end) due.push_back({timers_.next_due(group), group});
    }
    std::make_heap(due.begin(), due.end(), std::greater<>());
    std::size_t left = firing_budget_;
    while (!due.empty()) {
      std::pop_heap(due.begin(), due.end(), std::greater<>());
      const KeyGroup group = due.back().group;
      due.pop_back();
      const EventTime until = due.empty() ? end : std::min(end, due.front().time + Duration(1));
      if (fire(group, until, left) == Progress::kMore) return Progress::kMore;
      if (until < end) {
        due.push_back({timers_.next_due(group), group});
        std::push_heap(due.begin(), due.end(), std::greater<>());
      }
    }
    return Progress::kDone;
  }
  Progress on_end() override { return on_watermark(EventTime::max()); }

 private:
  struct Next {
    EventTime time;
    KeyGroup group;
    friend auto operator<=>(const Next&, const Next&) = default;
  };
  struct OperatorProgress {
    EventTime watermark = EventTime::min();
    std::uint64_t next = 0;
    BOOST_DESCRIBE_CLASS(OperatorProgress, (), (watermark, next), (), ())
  };

  Progress fire(KeyGroup group, EventTime until, std::size_t& left) {
    return timers_.fire_due(
        group, until, left,
        [&](EventTime time, const ArrivalPlace& place, std::uint64_t hash, std::uint64_t) {
          --left;
          In* record = records_.find_for_update(place, hash);
          out_.emit(std::move(*record), time);
          records_.erase(place, hash);
        });
  }

  const std::size_t firing_budget_;
  const KeyGroupRange groups_;
  BatchKeys<In, KeyOf> keys_;
  KeyedValue<ArrivalPlace, In> records_;
  Timers<ArrivalPlace> timers_;
  OperatorState<OperatorProgress> progress_;
  Emitter<In>& out_;
  LateRecords<In> late_;
};

}  // namespace tidemill
