#include "service/server/rate_limit.h"

#include <algorithm>

namespace tidemill::server {
namespace {
constexpr std::size_t kMaxBuckets = 10'000;
}

double RateLimit::left(const Bucket& bucket, Time now) const {
  return std::min(
      burst_, bucket.left + per_second_ * std::chrono::duration<double>(now - bucket.at).count());
}

bool RateLimit::admit(const std::string& who, Time now) {
  const std::lock_guard lock(mutex_);
  if (buckets_.size() >= kMaxBuckets) {
    // A full one is as good as none.
    std::erase_if(buckets_, [&](const auto& one) { return left(one.second, now) >= burst_; });
    if (buckets_.size() >= kMaxBuckets && !buckets_.contains(who)) return false;
  }
  Bucket& bucket = buckets_.try_emplace(who, Bucket{burst_, now}).first->second;
  bucket.left = left(bucket, now);
  bucket.at = now;
  if (bucket.left < 1) return false;
  bucket.left -= 1;
  return true;
}

}  // namespace tidemill::server
