// How often each duration occurred, from a nanosecond to two minutes, with the same relative
// precision everywhere: 2^kBits buckets to each power of two.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace tidemill {

// One thread. What is longer than the longest counts as the longest; the greatest is kept exactly.
template <int kBits>
class LogLinear {
 public:
  static constexpr std::int64_t kLongest = (std::int64_t{1} << 37) - 1;  // ns

  void record(std::int64_t ns, std::uint64_t times = 1) {
    buckets_[bucket_of(ns)] += times;
    count_ += times;
    greatest_ = std::max(greatest_, ns);
  }
  void merge(const LogLinear& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    greatest_ = std::max(greatest_, other.greatest_);
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::int64_t greatest() const { return greatest_; }
  // The least duration that a share of all, 0 to 1, does not exceed, or up to 2^-kBits more; 0 of
  // none.
  [[nodiscard]] std::int64_t quantile(double share) const {
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i];
      if (seen >= wanted && seen > 0) return std::min(last_of(i), greatest_);
    }
    return greatest_;
  }

 private:
  static constexpr std::int64_t kPerPower = std::int64_t{1} << kBits;
  static constexpr std::size_t kBuckets = (37 - kBits + 1) << kBits;

  // Below 2 kPerPower a bucket holds one value; from there on as many more for each power of two.
  static std::size_t bucket_of(std::int64_t ns) {
    const std::int64_t value = std::clamp<std::int64_t>(ns, 0, kLongest);
    const int shift = std::max(
        0, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(value))) - 1 - kBits);
    return static_cast<std::size_t>(shift * kPerPower + (value >> shift));
  }
  static std::int64_t last_of(std::size_t bucket) {
    const auto i = static_cast<std::int64_t>(bucket);
    const std::int64_t shift = std::max<std::int64_t>(0, i / kPerPower - 1);
    return ((i - shift * kPerPower + 1) << shift) - 1;
  }

  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  std::int64_t greatest_ = 0;
};

}  // namespace tidemill
