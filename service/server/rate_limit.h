// How much one token or one peer may ask: token buckets, bounded in number.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>

namespace tidemill::server {

// Thread-safe.
class RateLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `per_second` on average, `burst` at once.
  RateLimit(double per_second, double burst) : per_second_(per_second), burst_(burst) {}
  // False: too many. Times never go back.
  bool admit(const std::string& who, Time now);

 private:
  struct Bucket {
    double left;
    Time at;
  };
  [[nodiscard]] double left(const Bucket& bucket, Time now) const;

  const double per_second_;
  const double burst_;
  std::mutex mutex_;
  std::map<std::string, Bucket> buckets_;
};

}  // namespace tidemill::server
