#include "state/calendar.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <string>

#include "engine/base/error.h"

namespace tidemill {
namespace {

constexpr int kUnit = 5;  // the width of level 0 would be 2^5 ms
constexpr std::int64_t kLevelMask = (std::int64_t{1} << (kUnit + Calendar::kFinest)) - 1;

}  // namespace

Calendar::Bucket Calendar::bucket_at(EventTime t, int level) {
  const std::int64_t inside = (std::int64_t{1} << (level + kUnit)) - 1;
  return {EventTime{t.ms & ~inside}, EventTime{t.ms | inside}, level};
}

Calendar::Bucket Calendar::bucket_of_namespace(EventTime ns) {
  const auto level = static_cast<int>(ns.ms & kLevelMask);
  if (level < kFinest || level > kCoarsest)
    throw Error(ErrorCode::kCorrupt,
                "stored timers are in an unknown bucket: " + std::to_string(ns.ms));
  return bucket_at(ns, level);
}

void Calendar::add(const Bucket& bucket) {
  const auto at = std::ranges::lower_bound(buckets_, bucket, comes_before);
  buckets_.insert(at, bucket);
  update();
}

void Calendar::remove(const Bucket& bucket) {
  const auto at = std::ranges::lower_bound(buckets_, bucket, comes_before);
  TM_CHECK(at != buckets_.end() && at->start == bucket.start && at->level == bucket.level);
  buckets_.erase(at);
  update();
}

const Calendar::Bucket* Calendar::search(EventTime t) {
  // Of those that contain `t`, the finest starts last.
  auto at = std::ranges::upper_bound(buckets_, t, {}, &Bucket::start);
  while (at != buckets_.begin()) {
    --at;
    if (at->contains(t)) {
      last_found_ = static_cast<std::size_t>(at - buckets_.begin());
      return &*at;
    }
    if (!is_nested_) return nullptr;
  }
  return nullptr;
}

Calendar::Bucket Calendar::make(EventTime t, int level) {
  for (;; --level) {
    const Bucket bucket = bucket_at(t, level);
    const auto at = std::ranges::lower_bound(buckets_, bucket, comes_before);
    if (at != buckets_.end() && at->start <= bucket.last) {
      TM_CHECK(level > kFinest);
      continue;
    }
    add(bucket);
    return bucket;
  }
}

int Calendar::level_for(Duration distance) const {
  // Before anything has fired there are timers on both sides of what is taken for now.
  const std::int64_t far = std::max(distance.count(), -1 - distance.count());
  const auto width = static_cast<std::uint64_t>(far) / 8;
  const int level = static_cast<int>(std::bit_width(width)) - 1 - kUnit;
  return std::clamp(level, fine_, kCoarsest);
}

void Calendar::update() {
  is_nested_ = false;
  first_last_ = EventTime::max();
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    // A bucket that contains another contains the next one.
    if (i > 0 && buckets_[i].start <= buckets_[i - 1].last) is_nested_ = true;
    first_last_ = std::min(first_last_, buckets_[i].last);
  }
}

}  // namespace tidemill
