// What a trailing window keeps of one key: slices shared by all its windows, and a running total
// per window derived from them.
//
// A record of time t counts in window w at instant T if t <= T < leave_w(t) = ceil(t / r) * r + w,
// r being the resolution of w: slices are left-open, (k r, (k+1) r]. Records are kept in slices as
// fine as the greatest common divisor of the resolutions; later, neighbours that leave every window
// that still counts them at the same instants are merged, so a key keeps about one slice per step
// of a resolution. All but the newest few lie encoded, one after the other, as they are stored.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/time.h"
#include "operators/accumulator.h"
#include "operators/trailing_layout.h"
#include "state/codec.h"
#include "state/memory_size.h"

namespace tidemill {

// One key's content as of its instant. A plain value; only slices and times are stored, totals are
// built again when they are first needed.
template <class A>
class TrailingKey {
 public:
  // A record that waits for its instant to take effect.
  struct Waiting {
    Stamp stamp;
    A one;  // it alone, added to nothing
  };

  // The greatest instant so far: rows never go back behind it. min(): nothing has happened yet.
  EventTime instant = EventTime::min();
  // The timer that will wake this key; max(): none.
  EventTime timer = EventTime::max();
  // In the order of their stamps, ties by arrival.
  std::vector<Waiting> waiting;

  // Call before anything else in a batch or callback: a value from storage has no totals.
  void prepare(const TrailingLayout& layout) {
    if (totals_.empty()) rebuild(layout);
  }

  // Asks for the memory behind the object, which the next calls will touch.
  void prefetch() const {
    const auto fetch = [](const void* begin, std::size_t size) {
      for (std::size_t i = 0; i < size; i += 64) {
        __builtin_prefetch(static_cast<const char*>(begin) + i);
      }
    };
    fetch(totals_.data(), totals_.size() * sizeof(Total));
    fetch(open_.data(), open_.size() * sizeof(Slice));
    __builtin_prefetch(packed_.data());
  }

  // Moves on to `to` (never back): slices that have left by then are taken out of their windows.
  void advance(const TrailingLayout& layout, EventTime to) {
    if (to <= instant) return;
    instant = to;
    if (to < next_leave_) return;
    for (std::size_t w = 0; w < totals_.size(); ++w) {
      if (totals_[w].leave <= to) take_out(layout, w);
    }
    find_next_leave();
    if (is_empty()) forget_slices();
    if (num_packed_ >= compact_at_) compact(layout);
  }

  // Adds a record to the slice of its time and to the windows that count it at the key's instant:
  // `add_to(A&)` for each of them. Requires: time <= instant.
  template <class AddTo>
  void add(const TrailingLayout& layout, EventTime time, AddTo&& add_to) {
    const EventTime end = layout.slice_end(time);
    bool counts = false;
    for (std::size_t w = 0; w < totals_.size(); ++w) {
      const EventTime leave = layout.leave(w, end);
      if (leave <= instant) continue;
      add_to(totals_[w].content);
      counts = true;
    }
    if (!counts) return;
    if (num_packed_ > 0 && end <= packed_end_) {
      add_to_packed(layout, end, add_to);
    } else {
      add_to_open(layout, end, add_to);
    }
    find_next_leave();
  }

  // The next instant at which a slice leaves a window; max() if nothing is counted.
  [[nodiscard]] EventTime next_leave() const { return next_leave_; }
  [[nodiscard]] bool is_empty() const { return next_leave_ == EventTime::max(); }
  // What window `w` counts at the key's instant.
  [[nodiscard]] const A& total(std::size_t w) const { return totals_[w].content; }
  [[nodiscard]] std::size_t num_slices() const { return num_packed_ + open_.size(); }

 private:
  friend struct Codec<TrailingKey>;
  friend struct HeapSize<TrailingKey>;

  // A place in the sequence of slices: an offset into packed_, or packed_.size() + an index in
  // open_.
  using Place = std::size_t;
  struct Slice {
    EventTime end;
    A content;
  };
  // An encoded slice, [zigzag end][size of content][content]; `next` is the place behind it.
  struct PackedSlice {
    EventTime end;
    ByteView content;
    Place next;
  };
  // A window's share: the slices from `first` on.
  struct Total {
    A content{};
    Place first = 0;
    EventTime leave = EventTime::max();  // when `first` leaves; max(): there is none
  };
  static constexpr std::size_t kOpen = 2;
  static constexpr std::size_t kFewSlices = 8;

  [[nodiscard]] static PackedSlice read(const Bytes& packed, Place at) {
    ByteReader in(ByteView(packed).substr(at));
    const EventTime end{unzigzag(in.varint())};
    const ByteView content = in.sized();
    return {end, content, packed.size() - in.size()};
  }
  static void append(Bytes& out, EventTime end, const A& content) {
    append_varint(out, zigzag(end.ms));
    const std::size_t begin = out.size();
    Codec<A>::encode(out, content);
    Bytes size;
    append_varint(size, out.size() - begin);
    out.insert(begin, size);
  }

  [[nodiscard]] bool is_packed(Place at) const { return at < packed_.size(); }
  [[nodiscard]] Place end_place() const { return packed_.size() + open_.size(); }
  [[nodiscard]] EventTime end_at(Place at) const {
    return is_packed(at) ? read(packed_, at).end : open_[at - packed_.size()].end;
  }
  [[nodiscard]] Place next(Place at) const {
    return is_packed(at) ? read(packed_, at).next : at + 1;
  }
  // Calls fn(const A&) for the slices in [begin, end).
  template <class Fn>
  void for_each(Place begin, Place end, Fn fn) const {
    while (begin < end) {
      if (is_packed(begin)) {
        const PackedSlice slice = read(packed_, begin);
        fn(decode<A>(slice.content));
        begin = slice.next;
      } else {
        fn(open_[begin - packed_.size()].content);
        ++begin;
      }
    }
  }

  // Lets the slices of window `w` go that have left it at the key's instant.
  void take_out(const TrailingLayout& layout, std::size_t w) {
    Total& total = totals_[w];
    const Place begin = total.first;
    std::size_t num_leaving = 0;
    do {
      total.first = next(total.first);
      ++num_leaving;
    } while (find_leave(layout, w) <= instant);
    if (total.first == end_place()) {
      total.content = A{};
    } else if constexpr (Evictable<A>) {
      if (num_leaving == 1) {
        for_each(begin, total.first, [&](const A& slice) { evict_from(total.content, slice); });
      } else {
        // Together they are older than all the rest; after `compact` each alone need not be.
        A leaving{};
        for_each(begin, total.first, [&](const A& slice) { leaving.merge(slice); });
        evict_from(total.content, leaving);
      }
    } else {
      total.content = A{};
      for_each(total.first, end_place(), [&](const A& slice) { total.content.merge(slice); });
    }
  }

  EventTime find_leave(const TrailingLayout& layout, std::size_t w) {
    Total& total = totals_[w];
    total.leave =
        total.first == end_place() ? EventTime::max() : layout.leave(w, end_at(total.first));
    return total.leave;
  }
  void find_next_leave() {
    next_leave_ = EventTime::max();
    for (const Total& total : totals_) next_leave_ = std::min(next_leave_, total.leave);
  }

  void rebuild(const TrailingLayout& layout) {
    totals_.resize(layout.size());
    for (std::size_t w = 0; w < layout.size(); ++w) {
      Total& total = totals_[w];
      while (find_leave(layout, w) <= instant) total.first = next(total.first);
      for_each(total.first, end_place(), [&](const A& slice) { total.content.merge(slice); });
    }
    compact_at_ = 2 * num_packed_ + kFewSlices;
    find_next_leave();
  }

  // Makes room of `size` at `at`: windows that count the new slice, which ends at `end`, begin with
  // it if they began there.
  void shift_places(const TrailingLayout& layout, Place at, std::size_t size, EventTime end) {
    for (std::size_t w = 0; w < totals_.size(); ++w) {
      Total& total = totals_[w];
      const EventTime leave = layout.leave(w, end);
      if (total.first > at || (total.first == at && leave <= instant)) {
        total.first += size;
      } else if (total.first == at) {
        total.leave = leave;
      }
    }
  }

  template <class AddTo>
  void add_to_open(const TrailingLayout& layout, EventTime end, AddTo&& add_to) {
    std::size_t i = open_.size();
    while (i > 0 && open_[i - 1].end >= end) --i;
    if (i == open_.size() || open_[i].end != end) {
      shift_places(layout, packed_.size() + i, 1, end);
      open_.insert(open_.begin() + static_cast<std::ptrdiff_t>(i), Slice{end, A{}});
    }
    add_to(open_[i].content);
    if (open_.size() > kOpen) pack_oldest();
  }

  void pack_oldest() {
    const Place old_end = packed_.size();
    append(packed_, open_.front().end, open_.front().content);
    packed_end_ = open_.front().end;
    ++num_packed_;
    open_.erase(open_.begin());
    for (Total& total : totals_) {
      if (total.first > old_end) total.first += packed_.size() - old_end - 1;
    }
  }

  template <class AddTo>
  void add_to_packed(const TrailingLayout& layout, EventTime end, AddTo&& add_to) {
    Place at = 0;
    PackedSlice slice = read(packed_, at);
    while (slice.end < end) {
      at = slice.next;
      slice = read(packed_, at);
    }
    Bytes bytes;
    if (slice.end == end) {
      A content = decode<A>(slice.content);
      add_to(content);
      append(bytes, end, content);
      const std::size_t old_size = slice.next - at;
      for (Total& total : totals_) {
        if (total.first > at) total.first += bytes.size() - old_size;
      }
      packed_.replace(at, old_size, bytes);
    } else {
      A content{};
      add_to(content);
      append(bytes, end, content);
      shift_places(layout, at, bytes.size(), end);
      packed_.insert(at, bytes);
      ++num_packed_;
    }
  }

  // The first slice that any window counts.
  [[nodiscard]] Place live() const {
    Place first = totals_.empty() ? 0 : end_place();
    for (const Total& total : totals_) first = std::min(first, total.first);
    return first;
  }

  void forget_slices() {
    packed_.clear();
    packed_.shrink_to_fit();
    open_.clear();
    num_packed_ = 0;
    compact_at_ = kFewSlices;
    for (Total& total : totals_) total.first = 0;
  }

  // Drops slices that no window counts and merges neighbours that leave together.
  void compact(const TrailingLayout& layout) {
    Bytes packed;
    std::vector<Place> firsts;
    for (const Total& total : totals_) firsts.push_back(total.first);
    num_packed_ = 0;
    Place at = std::min(live(), packed_.size());
    while (at < packed_.size()) {
      const PackedSlice slice = read(packed_, at);
      for (std::size_t w = 0; w < totals_.size(); ++w) {
        if (firsts[w] == at) totals_[w].first = packed.size();
      }
      PackedSlice last = slice;
      while (is_packed(last.next) && leave_together(layout, firsts, last))
        last = read(packed_, last.next);
      if (last.next == slice.next) {
        packed.append(packed_, at, slice.next - at);
      } else {
        A merged = decode<A>(slice.content);
        for_each(slice.next, last.next, [&](const A& a) { merged.merge(a); });
        append(packed, last.end, merged);
      }
      ++num_packed_;
      at = last.next;
    }
    for (std::size_t w = 0; w < totals_.size(); ++w) {
      if (!is_packed(firsts[w])) totals_[w].first = firsts[w] - packed_.size() + packed.size();
    }
    packed_ = std::move(packed);
    compact_at_ = 2 * num_packed_ + kFewSlices;
  }

  // Whether every window that counts the slice or the one behind it loses both at the same instant.
  [[nodiscard]] bool leave_together(const TrailingLayout& layout, const std::vector<Place>& firsts,
                                    const PackedSlice& slice) const {
    const EventTime next_end = read(packed_, slice.next).end;
    for (std::size_t w = 0; w < firsts.size(); ++w) {
      if (firsts[w] > slice.next) continue;
      if (layout.leave(w, slice.end) != layout.leave(w, next_end)) return false;
    }
    return true;
  }

  // The older slices, encoded, and the newest few, both in the order of their ends.
  Bytes packed_;
  std::vector<Slice> open_;
  std::vector<Total> totals_;
  EventTime packed_end_ = EventTime::min();  // of the last packed slice
  EventTime next_leave_ = EventTime::max();
  std::size_t num_packed_ = 0;
  std::size_t compact_at_ = kFewSlices;
};

// [instant][timer, as the distance from it][number of slices][their bytes][number waiting]...
template <class A>
struct Codec<TrailingKey<A>> {
  using Value = TrailingKey<A>;

  static void encode(Bytes& out, const Value& value) {
    append_varint(out, zigzag(value.instant.ms));
    append_varint(out, zigzag(distance(value.instant, value.timer)));
    const std::size_t live = value.live();
    std::size_t num_live = 0;
    for (std::size_t at = live; at < value.end_place(); at = value.next(at)) ++num_live;
    append_varint(out, num_live);
    if (num_live > 0) {
      Bytes slices = live < value.packed_.size() ? value.packed_.substr(live) : Bytes();
      const std::size_t first_open = std::max(live, value.packed_.size()) - value.packed_.size();
      for (std::size_t i = first_open; i < value.open_.size(); ++i)
        Value::append(slices, value.open_[i].end, value.open_[i].content);
      append_sized(out, slices);
    }
    append_varint(out, value.waiting.size());
    for (const auto& w : value.waiting) {
      append_varint(out, zigzag(w.stamp.time.ms));
      append_varint(out, zigzag(w.stamp.order.partition));
      append_varint(out, zigzag(w.stamp.order.offset));
      Codec<A>::encode(out, w.one);
    }
  }

  static Value decode(ByteReader& in) {
    Value value;
    value.instant = {unzigzag(in.varint())};
    value.timer = {static_cast<std::int64_t>(static_cast<std::uint64_t>(value.instant.ms) +
                                             static_cast<std::uint64_t>(unzigzag(in.varint())))};
    value.num_packed_ = static_cast<std::size_t>(in.varint());
    if (value.num_packed_ > 0) read_slices(value, in.sized());
    for (std::size_t left = codec::read_count(in); left > 0; --left) {
      Stamp stamp;
      stamp.time = {unzigzag(in.varint())};
      stamp.order.partition = static_cast<std::int32_t>(unzigzag(in.varint()));
      stamp.order.offset = unzigzag(in.varint());
      value.waiting.push_back({stamp, Codec<A>::decode(in)});
    }
    return value;
  }

 private:
  // Modulo 2^64, so that no pair of times overflows.
  static std::int64_t distance(EventTime from, EventTime to) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(to.ms) -
                                     static_cast<std::uint64_t>(from.ms));
  }

  static void read_slices(Value& value, ByteView bytes) {
    value.packed_ = Bytes(bytes);
    std::size_t found = 0;
    for (std::size_t at = 0; at < bytes.size(); ++found) {
      const auto slice = Value::read(value.packed_, at);
      value.packed_end_ = slice.end;
      at = slice.next;
    }
    if (found != value.num_packed_) {
      throw Error(ErrorCode::kCorrupt,
                  "stored trailing window is malformed: " + std::to_string(found) +
                      " slices instead of " + std::to_string(value.num_packed_));
    }
  }
};

// An estimate: what the total of the last window owns, which is the largest by custom, stands for
// all.
template <class A>
struct HeapSize<TrailingKey<A>> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const TrailingKey<A>& value) {
    using Key = TrailingKey<A>;
    std::size_t total = value.packed_.capacity() +
                        value.open_.capacity() * sizeof(typename Key::Slice) +
                        value.totals_.capacity() * sizeof(typename Key::Total) +
                        value.waiting.capacity() * sizeof(typename Key::Waiting);
    if constexpr (tidemill::kHasHeap<A>) {
      const std::size_t num_values =
          value.totals_.size() + value.open_.size() + value.waiting.size();
      if (!value.totals_.empty()) total += num_values * memory_size(value.totals_.back().content);
    }
    return total;
  }
};

}  // namespace tidemill
