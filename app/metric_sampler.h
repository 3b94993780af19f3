// What the metrics have done of late: rates, shares and quantiles over the last seconds, and the
// freshness of the last minutes.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/metrics.h"

namespace tidemill {

// Empty if there is no such label.
[[nodiscard]] std::string label_of(const Labels& labels, const std::string& name);

struct AgeQuantiles {
  double p50_ms = 0;
  double p99_ms = 0;
  double max_ms = 0;
  std::uint64_t count = 0;
};

// Looks at the registry once a second on a thread of its own. The queries: from any thread.
class MetricSampler {
 public:
  using Series = std::pair<std::string, Labels>;
  using Where = std::map<std::string, std::string>;  // labels a series must have

  // References outlive it.
  MetricSampler(const MetricRegistry& metrics, const Clock& clock);
  ~MetricSampler();
  MetricSampler(const MetricSampler&) = delete;
  MetricSampler& operator=(const MetricSampler&) = delete;

  // A second; of all counters with this name and these labels together. Nothing: there is none, or
  // it is too early to tell.
  [[nodiscard]] std::optional<double> rate(const std::string& name, const Where& where = {}) const;
  // The same of each counter of that name; none: too early to tell.
  [[nodiscard]] std::vector<std::pair<Labels, double>> rates(const std::string& name) const;
  // By how much the least of these gauges has grown in a second, since all of them have a value.
  [[nodiscard]] std::optional<double> growth_of_min(const std::string& name) const;
  // Their values together.
  [[nodiscard]] std::optional<double> counter(const std::string& name,
                                              const Where& where = {}) const;
  // By the same; of gauges.
  [[nodiscard]] std::optional<double> gauge_sum(const std::string& name,
                                                const Where& where = {}) const;
  [[nodiscard]] std::optional<double> gauge_min(const std::string& name,
                                                const Where& where = {}) const;
  // Each gauge or counter of that name with its labels.
  [[nodiscard]] std::vector<std::pair<Labels, double>> each(const std::string& name) const;

  // Event age over the last seconds by (stage, operator); of what has had no record in them, over
  // all.
  [[nodiscard]] std::map<std::pair<std::string, std::string>, AgeQuantiles> ages() const;
  // Until Redis has acknowledged a row, of all sinks together; nothing: none was in the last
  // seconds.
  [[nodiscard]] std::optional<AgeQuantiles> redis_latency() const;
  struct Moment {
    std::int64_t at_ms = 0;
    std::map<std::pair<std::string, std::string>, AgeQuantiles> ages;
  };
  // One in five seconds over ten minutes, the oldest first.
  [[nodiscard]] std::vector<Moment> age_history() const;

  void sample();  // what the thread does once a second

 private:
  static constexpr std::size_t kSamples = 11;  // ten seconds
  static constexpr int kSecondsApart = 5;
  static constexpr std::size_t kMoments = 120;
  using Buckets = std::array<std::uint64_t, Histogram::kBuckets>;
  struct Sample {
    std::chrono::nanoseconds at{};
    std::map<Series, double> counters;
    std::map<Series, double> gauges;
    std::map<std::pair<std::string, std::string>, Buckets> ages;
    Buckets redis{};
  };

  [[nodiscard]] std::map<std::pair<std::string, std::string>, AgeQuantiles> ages_between(
      const Sample& from, const Sample& to, bool or_all) const;

  const MetricRegistry& metrics_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::deque<Sample> samples_;
  std::deque<Moment> history_;
  int seconds_ = 0;
  std::thread thread_;
};

}  // namespace tidemill
