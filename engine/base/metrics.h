// Counters, gauges and histograms of one job. The data path touches them once per batch: a relaxed
// atomic add, no lock, no look-up. The HTTP side reads a consistent list through `visit` and
// renders it; nothing here knows Prometheus.
//
// Names end in the base unit that is shown: seconds or bytes. What is kept is an integer where that
// is cheaper: histograms hold microseconds, counters of `_seconds_total` nanoseconds.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/late_sample.h"

namespace tidemill {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Durations in microseconds. Four buckets to each power of two: a quantile read from them is off by
// an eighth at most.
class Histogram {
 public:
  static constexpr std::size_t kPerPower = 4;
  static constexpr std::size_t kBuckets = 208;  // up to 2^53 us, 285 years

  void record(std::uint64_t us, std::uint64_t times = 1) {
    buckets_[bucket_of(us)].fetch_add(times, std::memory_order_relaxed);
    // Not an integer: ages of years, times many rows, are beyond 64 bits.
    sum_.fetch_add(static_cast<double>(us) * static_cast<double>(times), std::memory_order_relaxed);
  }

  [[nodiscard]] static constexpr std::size_t bucket_of(std::uint64_t us) {
    if (us < kPerPower) return static_cast<std::size_t>(us);
    const auto power = static_cast<std::size_t>(std::bit_width(us)) - 1;
    const std::size_t bucket = (power - 1) * kPerPower + ((us >> (power - 2)) & (kPerPower - 1));
    return std::min(bucket, kBuckets - 1);
  }
  // The least value in bucket i; of i = kBuckets, the end of the last.
  [[nodiscard]] static constexpr std::uint64_t lower_bound(std::size_t i) {
    if (i < kPerPower) return i;
    return (kPerPower + i % kPerPower) << (i / kPerPower - 1);
  }
  [[nodiscard]] std::uint64_t bucket(std::size_t i) const {
    return buckets_[i].load(std::memory_order_relaxed);
  }
  [[nodiscard]] double sum_us() const { return sum_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t count() const {
    std::uint64_t total = 0;
    for (const auto& b : buckets_) total += b.load(std::memory_order_relaxed);
    return total;
  }

 private:
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<double> sum_{0};
};

// The greatest of many by name, each with its share; who they are changes. Thread-safe.
class Ranking {
 public:
  struct Entry {
    std::string name;
    double share = 0;
  };
  void set(std::vector<Entry> entries) {
    const std::lock_guard lock(mutex_);
    entries_ = std::move(entries);
  }
  [[nodiscard]] std::vector<Entry> entries() const {
    const std::lock_guard lock(mutex_);
    return entries_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

// Thread-safe. References stay valid as long as the registry; asking again for the same name and
// labels gives the same object, so counts go on over an in-process restart.
class MetricRegistry {
 public:
  Counter& counter(const std::string& name, const Labels& labels = {},
                   const std::string& help = "") {
    return find(counters_, name, labels, help);
  }
  Gauge& gauge(const std::string& name, const Labels& labels = {}, const std::string& help = "") {
    return find(gauges_, name, labels, help);
  }
  Histogram& histogram(const std::string& name, const Labels& labels = {},
                       const std::string& help = "") {
    return find(histograms_, name, labels, help);
  }

  Ranking& ranking(const std::string& name, const Labels& labels = {},
                   const std::string& help = "") {
    return find(rankings_, name, labels, help);
  }
  LateSample& late_sample(const Labels& labels) { return find(late_, "", labels, ""); }

  struct Visitor {
    std::function<void(const std::string& name, const Labels&, const std::string& help,
                       const Counter&)>
        counter;
    std::function<void(const std::string& name, const Labels&, const std::string& help,
                       const Gauge&)>
        gauge;
    std::function<void(const std::string& name, const Labels&, const std::string& help,
                       const Histogram&)>
        histogram;
    std::function<void(const std::string& name, const Labels&, const std::string& help,
                       const Ranking&)>
        ranking = {};
  };
  void visit(const Visitor& visitor) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, m] : counters_) visitor.counter(id.first, id.second, m->help, m->metric);
    for (const auto& [id, m] : gauges_) visitor.gauge(id.first, id.second, m->help, m->metric);
    for (const auto& [id, m] : histograms_)
      visitor.histogram(id.first, id.second, m->help, m->metric);
    if (!visitor.ranking) return;
    for (const auto& [id, m] : rankings_) visitor.ranking(id.first, id.second, m->help, m->metric);
  }
  void visit_late(const std::function<void(const Labels&, const LateSample&)>& visitor) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, m] : late_) visitor(id.second, m->metric);
  }

 private:
  template <class M>
  struct Named {
    M metric;
    std::string help;
  };
  template <class M>
  using Family = std::map<std::pair<std::string, Labels>, std::unique_ptr<Named<M>>>;

  template <class M>
  M& find(Family<M>& family, const std::string& name, const Labels& labels,
          const std::string& help) {
    const std::lock_guard lock(mutex_);
    auto& slot = family[{name, labels}];
    if (!slot) {
      slot = std::make_unique<Named<M>>();
      slot->help = help;
    }
    return slot->metric;
  }

  mutable std::mutex mutex_;
  Family<Counter> counters_;
  Family<Gauge> gauges_;
  Family<Histogram> histograms_;
  Family<Ranking> rankings_;
  Family<LateSample> late_;
};

}  // namespace tidemill
