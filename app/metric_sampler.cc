#include "app/metric_sampler.h"

#include <algorithm>

namespace tidemill {
namespace {

bool has(const Labels& labels, const MetricSampler::Where& where) {
  return std::all_of(where.begin(), where.end(), [&](const auto& wanted) {
    return std::any_of(labels.begin(), labels.end(), [&](const auto& label) {
      return label.first == wanted.first && label.second == wanted.second;
    });
  });
}

// Values of one name lie together.
template <class Each>
void for_each(const std::map<MetricSampler::Series, double>& all, const std::string& name,
              const MetricSampler::Where& where, Each each) {
  for (auto at = all.lower_bound({name, {}}); at != all.end() && at->first.first == name; ++at) {
    if (has(at->first.second, where)) each(at->first.second, at->second);
  }
}

std::optional<double> sum_of(const std::map<MetricSampler::Series, double>& all,
                             const std::string& name, const MetricSampler::Where& where) {
  std::optional<double> sum;
  for_each(all, name, where, [&](const Labels&, double value) { sum = sum.value_or(0) + value; });
  return sum;
}

std::optional<double> min_of(const std::map<MetricSampler::Series, double>& all,
                             const std::string& name, const MetricSampler::Where& where) {
  std::optional<double> least;
  for_each(all, name, where,
           [&](const Labels&, double value) { least = std::min(least.value_or(value), value); });
  return least;
}

// In milliseconds. Within a bucket values are taken to lie evenly.
template <class Buckets>
double quantile_ms(const Buckets& buckets, std::uint64_t count, double share) {
  const double wanted = share * static_cast<double>(count);
  double below = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    const auto here = static_cast<double>(buckets[i]);
    if (here > 0 && below + here >= wanted) {
      const auto low = static_cast<double>(Histogram::lower_bound(i));
      const auto high = static_cast<double>(Histogram::lower_bound(i + 1) - 1);
      return (low + (high - low) * std::clamp((wanted - below) / here, 0.0, 1.0)) / 1000;
    }
    below += here;
  }
  return 0;
}

}  // namespace

std::string label_of(const Labels& labels, const std::string& name) {
  for (const auto& [label, value] : labels) {
    if (label == name) return value;
  }
  return "";
}

MetricSampler::MetricSampler(const MetricRegistry& metrics, const Clock& clock)
    : metrics_(metrics), clock_(clock) {
  sample();
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!stop_.wait_for(lock, std::chrono::seconds(1), [&] { return stopping_; })) {
      lock.unlock();
      sample();
      lock.lock();
    }
  });
}

MetricSampler::~MetricSampler() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void MetricSampler::sample() {
  Sample now;
  now.at = clock_.monotonic();
  MetricRegistry::Visitor visitor;
  visitor.counter = [&](const std::string& name, const Labels& labels, const std::string&,
                        const Counter& counter) {
    now.counters[{name, labels}] = static_cast<double>(counter.value());
  };
  visitor.gauge = [&](const std::string& name, const Labels& labels, const std::string&,
                      const Gauge& gauge) {
    now.gauges[{name, labels}] = gauge.value();
  };
  visitor.histogram = [&](const std::string& name, const Labels& labels, const std::string&,
                          const Histogram& histogram) {
    const bool is_redis = name == "tidemill_redis_ack_latency_seconds";
    if (!is_redis && name != "tidemill_event_age_seconds") return;
    // A source's other outputs are what it turned away.
    if (label_of(labels, "stage") == "source" && label_of(labels, "output") != "0") return;
    Buckets& sum =
        is_redis ? now.redis : now.ages[{label_of(labels, "stage"), label_of(labels, "operator")}];
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += histogram.bucket(i);
  };
  metrics_.visit(visitor);
  const std::lock_guard lock(mutex_);
  if (samples_.size() == kSamples) samples_.pop_front();
  samples_.push_back(std::move(now));
  if (++seconds_ % kSecondsApart != 0 || samples_.size() <= kSecondsApart) return;
  if (history_.size() == kMoments) history_.pop_front();
  history_.push_back(
      {clock_.processing_time().ms,
       ages_between(samples_[samples_.size() - 1 - kSecondsApart], samples_.back(), false)});
}

std::optional<double> MetricSampler::rate(const std::string& name, const Where& where) const {
  const std::lock_guard lock(mutex_);
  const Sample& first = samples_.front();
  const Sample& last = samples_.back();
  const double seconds = std::chrono::duration<double>(last.at - first.at).count();
  const auto sum = sum_of(last.counters, name, where);
  if (!sum || seconds <= 0) return std::nullopt;
  return std::max(0.0, *sum - sum_of(first.counters, name, where).value_or(0)) / seconds;
}

std::vector<std::pair<Labels, double>> MetricSampler::rates(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const Sample& first = samples_.front();
  const double seconds = std::chrono::duration<double>(samples_.back().at - first.at).count();
  std::vector<std::pair<Labels, double>> found;
  if (seconds <= 0) return found;
  for_each(samples_.back().counters, name, {}, [&](const Labels& labels, double value) {
    const auto before = first.counters.find({name, labels});
    const double grown = value - (before == first.counters.end() ? 0 : before->second);
    found.emplace_back(labels, std::max(0.0, grown) / seconds);
  });
  return found;
}

std::optional<double> MetricSampler::growth_of_min(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto now = min_of(samples_.back().gauges, name, {});
  for (const Sample& sample : samples_) {
    const auto then = min_of(sample.gauges, name, {});
    if (!now || !then || *then == 0) continue;
    const double seconds = std::chrono::duration<double>(samples_.back().at - sample.at).count();
    return seconds > 0 ? std::optional((*now - *then) / seconds) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<double> MetricSampler::counter(const std::string& name, const Where& where) const {
  const std::lock_guard lock(mutex_);
  return sum_of(samples_.back().counters, name, where);
}

std::optional<double> MetricSampler::gauge_sum(const std::string& name, const Where& where) const {
  const std::lock_guard lock(mutex_);
  return sum_of(samples_.back().gauges, name, where);
}

std::optional<double> MetricSampler::gauge_min(const std::string& name, const Where& where) const {
  const std::lock_guard lock(mutex_);
  return min_of(samples_.back().gauges, name, where);
}

std::vector<std::pair<Labels, double>> MetricSampler::each(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<Labels, double>> found;
  const auto take = [&](const Labels& labels, double value) { found.emplace_back(labels, value); };
  for_each(samples_.back().counters, name, {}, take);
  for_each(samples_.back().gauges, name, {}, take);
  return found;
}

std::map<std::pair<std::string, std::string>, AgeQuantiles> MetricSampler::ages_between(
    const Sample& from, const Sample& to, bool or_all) const {
  std::map<std::pair<std::string, std::string>, AgeQuantiles> all;
  for (const auto& [stage, buckets] : to.ages) {
    Buckets fresh = buckets;
    const auto before = from.ages.find(stage);
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      if (before != from.ages.end()) fresh[i] -= std::min(fresh[i], before->second[i]);
      count += fresh[i];
    }
    if (count == 0 && or_all) {
      fresh = buckets;
      for (const std::uint64_t n : fresh) count += n;
    }
    if (count == 0) continue;
    AgeQuantiles& q = all[stage];
    q.count = count;
    q.p50_ms = quantile_ms(fresh, count, 0.5);
    q.p99_ms = quantile_ms(fresh, count, 0.99);
    q.max_ms = quantile_ms(fresh, count, 1);
  }
  return all;
}

std::map<std::pair<std::string, std::string>, AgeQuantiles> MetricSampler::ages() const {
  const std::lock_guard lock(mutex_);
  return ages_between(samples_.front(), samples_.back(), true);
}

std::optional<AgeQuantiles> MetricSampler::redis_latency() const {
  const std::lock_guard lock(mutex_);
  Buckets fresh = samples_.back().redis;
  AgeQuantiles q;
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    fresh[i] -= samples_.front().redis[i];
    q.count += fresh[i];
  }
  if (q.count == 0) return std::nullopt;
  q.p50_ms = quantile_ms(fresh, q.count, 0.5);
  q.p99_ms = quantile_ms(fresh, q.count, 0.99);
  q.max_ms = quantile_ms(fresh, q.count, 1);
  return q;
}

std::vector<MetricSampler::Moment> MetricSampler::age_history() const {
  const std::lock_guard lock(mutex_);
  return {history_.begin(), history_.end()};
}

}  // namespace tidemill
