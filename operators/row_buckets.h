// Rows per key that are kept for some event time: the state of one side of a join. What is past is
// dropped by the bucket, never looked for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/operator/context.h"
#include "operators/row_list.h"
#include "state/keyed_store.h"
#include "state/windowed_value.h"

namespace tidemill {

// A row lies in the bucket of its time, and there in the list of its key. In memory as far as the
// budget allows. One thread: the operator's. `width` is part of the layout: a checkpoint is
// restored with the width it was made with.
template <class K, class T>
class RowBuckets {
 public:
  RowBuckets(OperatorContext& ctx, const std::string& name, Duration width)
      : width_(width), lists_(ctx, name), starts_(lists_.namespaces()) {}

  // `key` may lie in `value`.
  void insert(const K& key, std::uint64_t hash, EventTime time, bool is_marked, T&& value) {
    const EventTime start = start_of(time);
    note(start);
    RowList<T>& list = lists_.at(start, key, hash);
    list.insert(time, is_marked, std::move(value));
  }
  // The same for many, whose keys need not have been prefetched: the i-th key's row is row(i), a
  // Row. Keys may lie in the values.
  struct Row {
    EventTime time;
    bool is_marked;
    T* value;  // moved from
  };
  template <class RowOf>
  void insert_all(std::span<const KeyRef<K>> keys, RowOf&& row) {
    if (keys.empty()) return;
    const auto bucket_of = [&](std::size_t i) { return start_of(row(i).time); };
    const EventTime first = bucket_of(0);
    std::size_t of_first = 1;
    while (of_first < keys.size() && bucket_of(of_first) == first) ++of_first;
    if (of_first == keys.size()) {
      insert_into(first, keys, row);
      return;
    }
    // Bucket by bucket, each as far as the batch has rows for it: in the order in which they came.
    order_.resize(keys.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    if (!std::ranges::is_sorted(order_, {}, bucket_of))
      std::ranges::stable_sort(order_, {}, bucket_of);
    for (std::size_t i = 0; i < order_.size();) {
      const EventTime start = bucket_of(order_[i]);
      std::size_t end = i;
      wanted_.clear();
      for (; end < order_.size() && bucket_of(order_[end]) == start; ++end)
        wanted_.push_back(keys[order_[end]]);
      insert_into(start, wanted_, [&](std::size_t n) { return row(order_[i + n]); });
      i = end;
    }
  }

  // Calls fn(const StoredRow<T>&) for the key's rows with first <= time <= last, in the order of
  // time. The callback leaves this object alone. `place`: which of the keys of the last prefetch it
  // is, if known.
  template <class F>
  void for_each_between(const K& key, std::uint64_t hash, EventTime first, EventTime last, F&& fn,
                        PlaceAhead place = kNoPlace) {
    if (!is_prefetched_whole_) place = kNoPlace;
    for_each_bucket(first, last, [&](EventTime start) {
      const RowList<T>* list = lists_.find(start, key, hash, place);
      if (list == nullptr) return;
      for (const StoredRow<T>& row : list->between(first, last)) fn(row);
    });
  }
  void mark(const K& key, std::uint64_t hash, EventTime first, EventTime last) {
    for_each_bucket(first, last, [&](EventTime start) {
      RowList<T>* list = lists_.find_for_update(start, key, hash);
      if (list != nullptr) list->mark(first, last);
    });
  }

  // Forgets all rows of the key.
  void erase(const K& key, std::uint64_t hash) {
    for (const EventTime start : starts_) lists_.erase(start, key, hash);
  }

  // Loads what a batch is about to look at, together: the i-th key's rows with
  // first(i) <= time <= last(i).
  template <class First, class Last>
  void prefetch(std::span<const KeyRef<K>> keys, First&& first, Last&& last) {
    is_prefetched_whole_ = false;
    if (keys.empty() || starts_.empty()) return;
    if (starts_.size() == 1) {
      lists_.prefetch(starts_.front(), keys);
      is_prefetched_whole_ = true;
      return;
    }
    EventTime least = EventTime::max();
    EventTime greatest = EventTime::min();
    for (std::size_t i = 0; i < keys.size(); ++i) {
      least = std::min(least, first(i));
      greatest = std::max(greatest, last(i));
    }
    for_each_bucket(least, greatest, [&](EventTime start) {
      wanted_.clear();
      for (std::size_t i = 0; i < keys.size(); ++i) {
        if (last(i) >= start && start_of(first(i)) <= start) wanted_.push_back(keys[i]);
      }
      if (!wanted_.empty()) lists_.prefetch(start, wanted_);
    });
  }

  // Forgets the buckets in which every instant is before `time`.
  void drop_before(EventTime time) {
    std::size_t gone = 0;
    while (gone < starts_.size() && starts_[gone] + width_ <= time) lists_.drop(starts_[gone++]);
    starts_.erase(starts_.begin(), starts_.begin() + static_cast<std::ptrdiff_t>(gone));
  }

 private:
  // The lowest bucket has no finite start of its own.
  [[nodiscard]] EventTime start_of(EventTime time) const {
    if (width_ == Duration::max()) return time.ms < 0 ? kLowest : EventTime{};
    return std::max(floor_to(time, width_), kLowest);
  }
  template <class RowOf>
  void insert_into(EventTime start, std::span<const KeyRef<K>> keys, RowOf&& row) {
    note(start);
    lists_.update(start, keys, [&](std::size_t i, RowList<T>& list) {
      const Row r = row(i);
      list.insert(r.time, r.is_marked, std::move(*r.value));
    });
  }
  void note(EventTime start) {
    if (!starts_.empty() && starts_.back() == start) return;
    const auto at = std::ranges::lower_bound(starts_, start);
    if (at == starts_.end() || *at != start) starts_.insert(at, start);
  }
  template <class F>
  void for_each_bucket(EventTime first, EventTime last, F&& fn) {
    const EventTime begin = start_of(first);
    for (auto it = starts_.size() == 1 && starts_.front() >= begin
                       ? starts_.begin()
                       : std::ranges::lower_bound(starts_, begin);
         it != starts_.end() && *it <= last; ++it) {
      fn(*it);
    }
  }

  static constexpr EventTime kLowest{EventTime::min().ms + 1};

  const Duration width_;
  WindowedValue<K, RowList<T>> lists_;  // by the start of the bucket
  std::vector<EventTime> starts_;       // derived: the namespaces of lists_
  // The last prefetch asked for all its keys, in one bucket.
  bool is_prefetched_whole_ = false;
  // Empty between calls, or of the last one.
  std::vector<KeyRef<K>> wanted_;
  std::vector<std::size_t> order_;
};

}  // namespace tidemill
