// How timers are cut into buckets of time: widths are powers of two that grow with the distance
// from now, so that there are few buckets whatever the timers' span, and what is near comes in
// small pieces.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/base/time.h"

namespace tidemill {

// One thread. Knows which buckets there are, not what is in them.
//
// Buckets are dyadic, so of two of them either one contains the other or they are apart. They are
// apart, but for two cases that pass: a bucket that is being split, and buckets that came from
// different subtasks.
class Calendar {
 public:
  // 2^(level + 5) ms wide: the six lowest bits of a start are zero, and those of its namespace hold
  // the level, so that a bucket and its first part do not share one.
  struct Bucket {
    EventTime start;
    EventTime last;  // included
    int level;

    [[nodiscard]] bool contains(EventTime t) const { return start <= t && t <= last; }
    [[nodiscard]] EventTime ns() const { return {start.ms | level}; }
  };
  static constexpr int kFinest = 1;  // 64 ms

  // The bucket around `t` with this level, whether it exists or not.
  static Bucket bucket_at(EventTime t, int level);
  static Bucket bucket_of_namespace(EventTime ns);

  // Requires: it is not there.
  void add(const Bucket& bucket);
  void remove(const Bucket& bucket);

  // The finest bucket around `t`; null if there is none. Ends at the next add or remove.
  [[nodiscard]] const Bucket* find(EventTime t) {
    if (!is_nested_ && last_found_ < buckets_.size() && buckets_[last_found_].contains(t))
      return &buckets_[last_found_];
    return search(t);
  }
  // Adds a bucket around `t` that contains no other, of a level of at most `level`.
  Bucket make(EventTime t, int level);
  // The level for a timer at this distance from now.
  [[nodiscard]] int level_for(Duration distance) const;

  // In the order of their starts, the wider ones first.
  [[nodiscard]] const std::vector<Bucket>& buckets() const { return buckets_; }
  // That order. Of a place in it start and level are all that counts.
  static bool comes_before(const Bucket& a, const Bucket& b) {
    return a.start != b.start ? a.start < b.start : a.level > b.level;
  }
  static constexpr Bucket kBeforeAll{EventTime::min(), EventTime::min(), 64};
  // The first one that does not come before `place`; null if there is none. Ends as of `find`.
  [[nodiscard]] const Bucket* first_from(const Bucket& place) const {
    const auto at = std::ranges::lower_bound(buckets_, place, comes_before);
    return at == buckets_.end() ? nullptr : &*at;
  }
  // True if some bucket contains another.
  [[nodiscard]] bool is_nested() const { return is_nested_; }
  // The earliest end.
  [[nodiscard]] EventTime first_last() const { return first_last_; }

  // Buckets turn out to hold few timers: from now on the finest ones are wider.
  void coarsen() { fine_ = std::min(fine_ + 1, kCoarsestFine); }
  // They hold too many: from now on they are at most of this level.
  void refine(int level) { fine_ = std::min(fine_, level); }

 private:
  static constexpr int kCoarsestFine = 21;  // 19 hours
  static constexpr int kCoarsest = 40;

  const Bucket* search(EventTime t);
  void update();

  std::vector<Bucket> buckets_;
  std::size_t last_found_ = 0;
  bool is_nested_ = false;
  EventTime first_last_ = EventTime::max();
  int fine_ = 5;  // a second
};

}  // namespace tidemill
