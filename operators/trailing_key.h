// What a trailing window keeps of one key: slices shared by all its windows, and a running total
// per window derived from them.
//
// A record of time t counts in window w at instant T if t <= T < leave_w(t) = ceil(t / r) * r + w,
// r being the resolution of w: slices are left-open, (k r, (k+1) r]. Records are kept in slices as
// fine as the greatest common divisor of the resolutions; slices that all windows which still count
// them lose at the same instants are merged, so a key keeps about one slice per resolution step.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <boost/container/small_vector.hpp>

#include "engine/base/error.h"
#include "engine/base/time.h"
#include "operators/accumulator.h"
#include "operators/trailing_parts.h"
#include "state/codec.h"
#include "state/memory_size.h"
#include "state/prefetch.h"

namespace tidemill {

// A window that looks back `size` from each instant; its tail is exact to `resolution`.
struct Trailing {
  Duration size;
  Duration resolution;

  // One sixtieth, at least a second.
  static constexpr Duration auto_resolution(Duration size) {
    return std::max<Duration>(Duration(1000), size / 60);
  }
};

// The windows of a trailing operator. Immutable.
class TrailingLayout {
 public:
  // Throws Error(kConfig) if there is no window, or a length is not positive.
  explicit TrailingLayout(std::vector<Trailing> windows) : windows_(std::move(windows)) {
    if (windows_.empty())
      throw Error(ErrorCode::kConfig, "a trailing aggregate needs at least one window");
    for (const Trailing& w : windows_) {
      if (w.size <= Duration::zero() || w.resolution <= Duration::zero()) {
        throw Error(ErrorCode::kConfig,
                    "size and resolution of a trailing window must be positive: " +
                        std::to_string(w.size.count()) + " ms, " +
                        std::to_string(w.resolution.count()) + " ms");
      }
      slice_ = Duration(std::gcd(slice_.count(), w.resolution.count()));
    }
  }

  [[nodiscard]] const std::vector<Trailing>& windows() const { return windows_; }
  [[nodiscard]] std::size_t size() const { return windows_.size(); }
  // The end of the finest slice that holds t, itself in it.
  [[nodiscard]] EventTime slice_end(EventTime t) const { return ceil_to(t, slice_); }
  // The first instant at which a record of time t, or a slice ending at t, no longer counts in
  // window `w`.
  [[nodiscard]] EventTime leave(std::size_t w, EventTime t) const {
    return step_end(w, t) + windows_[w].size;
  }
  // The last time that leaves window `w` together with t.
  [[nodiscard]] EventTime step_end(std::size_t w, EventTime t) const {
    return ceil_to(t, windows_[w].resolution);
  }

 private:
  std::vector<Trailing> windows_;
  Duration slice_{0};
};

// One key's content as of its instant. Plain state: only slices and times are stored; totals are
// built again when first needed.
template <class A>
class TrailingKey {
 public:
  using One = typename TrailingParts<A>::One;
  using SliceContent = typename TrailingParts<A>::Slice;
  using TotalContent = typename TrailingParts<A>::Total;
  using Shared = typename TrailingParts<A>::Shared;

  // A record that waits for its instant to take effect.
  struct Waiting {
    Stamp stamp;
    One one;  // it alone, added to nothing
  };

  // The greatest instant so far: rows never go back behind it. EventTime::min(): nothing has
  // happened yet.
  EventTime instant = EventTime::min();
  // The timer that will wake this key; EventTime::max(): none.
  EventTime timer = EventTime::max();
  // In the order of their stamps, ties by arrival.
  std::vector<Waiting> waiting;

  // Call before anything else in a batch or callback: a value that comes from storage has no
  // totals.
  void prepare(const TrailingLayout& layout) {
    if (totals_.empty()) rebuild(layout);
    if constexpr (HasParts<A>) {
      if (shared_.wants_sweep()) sweep();
    }
  }

  // Asks for the memory behind the object that the next calls will touch, and whoever measures it.
  void prefetch() const {
    fetch(totals_.data(), totals_.size() * sizeof(Total));
    if (!slices_.empty()) fetch(&slices_.back(), sizeof(Slice));
    // The last one, and where the next one will stand.
    if (!waiting.empty()) fetch(&waiting.back(), 2 * sizeof(Waiting));
  }

  // Moves on to `to` (never back): slices that have left by then are taken out of their windows.
  void advance(const TrailingLayout& layout, EventTime to) {
    if (to <= instant) return;
    instant = to;
    if (to < next_leave_) return;
    next_leave_ = EventTime::max();
    for (std::size_t w = 0; w < totals_.size(); ++w) {
      Total& total = totals_[w];
      if (total.leave <= to) {
        std::size_t end = total.first;
        do {
          ++end;
          total.leave = leave_of(layout, w, end);
        } while (total.leave <= to);
        take_out(total, end);
      }
      next_leave_ = std::min(next_leave_, total.leave);
    }
    if constexpr (HasParts<A>) {
      if (next_leave_ == EventTime::max()) shared_.forget();
    }
    if (next_leave_ == EventTime::max() || slices_.size() >= compact_at_) compact(layout);
  }

  // Adds a record to the slice of its time and to the windows that count it at the key's instant.
  // Requires: its time <= instant.
  template <class In>
  void add(const TrailingLayout& layout, const Stamp& stamp, const In& value) {
    if constexpr (HasParts<A>) {
      add_one(layout, stamp, shared_.take(value));
    } else {
      add_by(layout, stamp.time, [&](A& a) { add_to(a, value, stamp); });
    }
  }
  void add(const TrailingLayout& layout, const Waiting& w) {
    if constexpr (HasParts<A>) {
      add_one(layout, w.stamp, w.one);
    } else {
      add_by(layout, w.stamp.time, [&](A& a) { a.merge(w.one); });
    }
  }
  // Lets a record wait.
  template <class In>
  void put_off(const Stamp& stamp, const In& value) {
    // Nearly always behind the last one; a search would touch memory that is not in the cache.
    const auto place =
        waiting.empty() || !(stamp < waiting.back().stamp)
            ? waiting.end()
            : std::upper_bound(waiting.begin(), waiting.end(), stamp,
                               [](const Stamp& a, const auto& b) { return a < b.stamp; });
    if constexpr (HasParts<A>) {
      waiting.insert(place, {stamp, shared_.take(value)});
    } else {
      A one{};
      add_to(one, value, stamp);
      waiting.insert(place, {stamp, std::move(one)});
    }
  }

  // The next instant at which a slice leaves a window; EventTime::max() if nothing is counted.
  [[nodiscard]] EventTime next_leave() const { return next_leave_; }
  [[nodiscard]] bool is_empty() const { return next_leave_ == EventTime::max(); }
  // What window `w` counts at the key's instant.
  [[nodiscard]] const TotalContent& total(std::size_t w) const { return totals_[w].content; }
  [[nodiscard]] const Shared& shared() const { return shared_; }
  [[nodiscard]] std::size_t num_slices() const { return slices_.size(); }

 private:
  static void fetch(const void* begin, std::size_t size) {
    for (std::size_t i = 0; i < size; i += 64) prefetch_line(static_cast<const char*>(begin) + i);
  }

  friend struct Codec<TrailingKey>;
  friend struct HeapSize<TrailingKey>;

  struct Slice {
    EventTime end{};
    SliceContent content{};
  };
  // A window's share, derived from the slices: those from `first` on count.
  struct Total {
    TotalContent content{};
    std::size_t first = 0;
    EventTime leave = EventTime::max();  // when `first` does; max(): nothing counts
  };
  static constexpr std::size_t kFewSlices = 8;

  void add_one(const TrailingLayout& layout, const Stamp& stamp, const One& one) {
    if (add_by(layout, stamp.time, [&](auto& part) { part.add(one); })) shared_.note(one, stamp);
  }
  // `add_to` for the slice and each of the windows. False: none counts it.
  template <class AddTo>
  bool add_by(const TrailingLayout& layout, EventTime time, AddTo&& add_to) {
    const EventTime end = layout.slice_end(time);
    std::size_t place = slices_.size();
    while (place > 0 && slices_[place - 1].end >= end) --place;
    const bool is_new = place == slices_.size() || slices_[place].end != end;
    bool counts = false;
    for (std::size_t w = 0; w < totals_.size(); ++w) {
      Total& total = totals_[w];
      if (is_new && place == total.first) {
        // It would be the first of this window, if it has not left already.
        const EventTime leave = layout.leave(w, end);
        if (leave <= instant) {
          ++total.first;
          continue;
        }
        total.leave = leave;
        next_leave_ = std::min(next_leave_, leave);
      } else if (place < total.first) {
        if (is_new) ++total.first;
        continue;
      }
      add_to(total.content);
      counts = true;
    }
    if (!counts) {
      if (is_new) {
        for (Total& total : totals_) --total.first;
      }
      return false;
    }
    if (is_new) {
      if (place == slices_.size()) {
        slices_.emplace_back().end = end;
      } else {
        slices_.emplace(slices_.begin() + static_cast<std::ptrdiff_t>(place))->end = end;
      }
    }
    add_to(slices_[place].content);
    return true;
  }

  // Slices [total.first, end) leave the window.
  void take_out(Total& total, std::size_t end) {
    const std::size_t begin = std::exchange(total.first, end);
    if (end == slices_.size()) {
      total.content = {};
      return;
    }
    if constexpr (HasParts<A>) {
      for (std::size_t i = begin; i < end; ++i) total.content.subtract(slices_[i].content);
    } else if constexpr (Evictable<A>) {
      if (end - begin == 1) {
        evict_from(total.content, slices_[begin].content);
        return;
      }
      // Together they are older than all the rest; after `compact` each alone need not be.
      A leaving = slices_[begin].content;
      for (std::size_t i = begin + 1; i < end; ++i) leaving.merge(slices_[i].content);
      evict_from(total.content, leaving);
    } else {
      total.content = A{};
      for (std::size_t i = end; i < slices_.size(); ++i) total.content.merge(slices_[i].content);
    }
  }

  void rebuild(const TrailingLayout& layout) {
    totals_.resize(layout.size());
    for (std::size_t w = 0; w < layout.size(); ++w) {
      Total& total = totals_[w];
      while (total.first < slices_.size() && layout.leave(w, slices_[total.first].end) <= instant)
        ++total.first;
      for (std::size_t i = total.first; i < slices_.size(); ++i)
        total.content.merge(slices_[i].content);
    }
    compact_at_ = 2 * slices_.size() + kFewSlices;
    next_leave_ = EventTime::max();
    for (std::size_t w = 0; w < totals_.size(); ++w) {
      totals_[w].leave = leave_of(layout, w, totals_[w].first);
      next_leave_ = std::min(next_leave_, totals_[w].leave);
    }
  }

  [[nodiscard]] EventTime leave_of(const TrailingLayout& layout, std::size_t w,
                                   std::size_t i) const {
    return i < slices_.size() ? layout.leave(w, slices_[i].end) : EventTime::max();
  }

  // The first slice that any window counts.
  [[nodiscard]] std::size_t live() const {
    std::size_t first = totals_.empty() ? 0 : slices_.size();
    for (const Total& total : totals_) first = std::min(first, total.first);
    return first;
  }

  // Drops slices that no window counts and merges neighbours that leave together.
  void compact(const TrailingLayout& layout) {
    boost::container::small_vector<std::size_t, 4> firsts(totals_.size());
    // Per window: slices that end up to here leave it together with the one before.
    boost::container::small_vector<EventTime, 4> steps(totals_.size(), EventTime::min());
    std::size_t kept = 0;
    const std::size_t begin = live();
    for (std::size_t i = begin; i < slices_.size(); ++i) {
      bool leaves_with_previous = i > begin;
      for (std::size_t w = 0; w < totals_.size(); ++w) {
        if (totals_[w].first > i) continue;
        if (totals_[w].first == i) firsts[w] = kept;
        if (totals_[w].first == i || slices_[i].end > steps[w]) {
          leaves_with_previous = false;
          steps[w] = layout.step_end(w, slices_[i].end);
        }
      }
      if (leaves_with_previous) {
        slices_[kept - 1].content.merge(slices_[i].content);
        slices_[kept - 1].end = slices_[i].end;
        continue;
      }
      if (kept != i) slices_[kept] = std::move(slices_[i]);
      ++kept;
    }
    for (std::size_t w = 0; w < totals_.size(); ++w)
      totals_[w].first = totals_[w].first == slices_.size() ? kept : firsts[w];
    slices_.erase(slices_.begin() + static_cast<std::ptrdiff_t>(kept), slices_.end());
    if (slices_.capacity() > 4 * kept + kFewSlices) slices_.shrink_to_fit();
    compact_at_ = 2 * kept + kFewSlices;
  }

  // Gives back what has been shared with slices that are gone.
  void sweep() {
    auto in_use = shared_.in_use();
    const std::size_t begin = live();
    for (std::size_t i = begin; i < slices_.size(); ++i) slices_[i].content.mark(in_use);
    for (const Waiting& w : waiting) w.one.mark(in_use);
    const auto numbers = shared_.keep(in_use);
    for (std::size_t i = begin; i < slices_.size(); ++i) slices_[i].content.renumber(numbers);
    for (Total& total : totals_) total.content.renumber(numbers);
    for (Waiting& w : waiting) w.one.renumber(numbers);
  }

  std::vector<Slice> slices_;  // in the order of their ends
  std::vector<Total> totals_;
  EventTime next_leave_ = EventTime::max();
  std::size_t compact_at_ = kFewSlices;
  [[no_unique_address]] Shared shared_;
};

// [instant][timer, 0: none][what it shares, if its accumulator comes in parts][number of slices,
// each end as the distance from the one before][number waiting].
template <class A>
struct Codec<TrailingKey<A>> {
  using Value = TrailingKey<A>;
  using Slice = typename Value::SliceContent;
  using One = typename Value::One;

  static void encode(Bytes& out, const Value& value) {
    append_varint(out, zigzag(value.instant.ms));
    append_distance(out, value.instant, value.timer);
    if constexpr (HasParts<A>) Codec<typename Value::Shared>::encode(out, value.shared_);
    const std::size_t live = value.live();
    append_varint(out, value.slices_.size() - live);
    EventTime previous = value.instant;
    for (std::size_t i = live; i < value.slices_.size(); ++i) {
      append_distance(out, previous, value.slices_[i].end);
      previous = value.slices_[i].end;
      Codec<Slice>::encode(out, value.slices_[i].content);
    }
    append_varint(out, value.waiting.size());
    for (const auto& w : value.waiting) {
      append_varint(out, zigzag(w.stamp.time.ms));
      append_varint(out, zigzag(w.stamp.order.partition));
      append_varint(out, zigzag(w.stamp.order.offset));
      Codec<One>::encode(out, w.one);
    }
  }

  static Value decode(ByteReader& in) {
    Value value;
    value.instant = {unzigzag(in.varint())};
    value.timer = read_distance(in, value.instant);
    if constexpr (HasParts<A>) value.shared_ = Codec<typename Value::Shared>::decode(in);
    EventTime previous = value.instant;
    for (std::size_t left = codec::read_count(in); left > 0; --left) {
      previous = read_distance(in, previous);
      value.slices_.push_back({previous, Codec<Slice>::decode(in)});
      if constexpr (HasParts<A>) value.shared_.check(value.slices_.back().content);
    }
    for (std::size_t left = codec::read_count(in); left > 0; --left) {
      Stamp stamp;
      stamp.time = {unzigzag(in.varint())};
      stamp.order.partition = static_cast<std::int32_t>(unzigzag(in.varint()));
      stamp.order.offset = unzigzag(in.varint());
      value.waiting.push_back({stamp, Codec<One>::decode(in)});
      if constexpr (HasParts<A>) value.shared_.check(value.waiting.back().one);
    }
    return value;
  }

  static StoredType stored_type() {
    using enum StoredType::Kind;
    using tidemill::stored_type;
    const StoredType number = stored_type<std::int64_t>();
    StoredType type = stored::of(kTuple, number, number);
    if constexpr (HasParts<A>)
      type.parts.push_back({{}, stored_type<typename Value::Shared>(), {}});
    type.parts.push_back(
        {{}, stored::of(kVector, stored::of(kTuple, number, stored_type<Slice>())), {}});
    type.parts.push_back(
        {{},
         stored::of(kVector, stored::of(kTuple, number, number, number, stored_type<One>())),
         {}});
    return type;
  }

 private:
  // Modulo 2^64, so that no pair of times overflows.
  static void append_distance(Bytes& out, EventTime from, EventTime to) {
    append_varint(out, zigzag(static_cast<std::int64_t>(static_cast<std::uint64_t>(to.ms) -
                                                        static_cast<std::uint64_t>(from.ms))));
  }
  static EventTime read_distance(ByteReader& in, EventTime from) {
    const auto distance = static_cast<std::uint64_t>(unzigzag(in.varint()));
    return {static_cast<std::int64_t>(static_cast<std::uint64_t>(from.ms) + distance)};
  }
};

// An estimate: every slice is charged what the newest one owns, so that charging does not cost more
// than the update.
template <class A>
struct HeapSize<TrailingKey<A>> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const TrailingKey<A>& value) {
    using Key = TrailingKey<A>;
    std::size_t total = value.slices_.capacity() * sizeof(typename Key::Slice) +
                        value.totals_.capacity() * sizeof(typename Key::Total) +
                        value.waiting.capacity() * sizeof(typename Key::Waiting);
    if constexpr (tidemill::kHasHeap<typename Key::SliceContent>) {
      if (!value.slices_.empty())
        total += value.slices_.size() * memory_size(value.slices_.back().content);
    }
    if constexpr (tidemill::kHasHeap<typename Key::One>) {
      if (!value.waiting.empty())
        total += value.waiting.size() * memory_size(value.waiting.back().one);
    }
    if constexpr (tidemill::kHasHeap<typename Key::TotalContent>) {
      for (const auto& t : value.totals_) total += memory_size(t.content);
    }
    if constexpr (HasParts<A>) total += memory_size(value.shared_);
    return total;
  }
};

}  // namespace tidemill
