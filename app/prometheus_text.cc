#include <map>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <utility>
#include <vector>

#include "app/metrics_text.h"

namespace tidemill {
namespace {

prometheus::ClientMetric labelled(const Labels& labels) {
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : labels) metric.label.push_back({name, value});
  return metric;
}

class Families {
 public:
  void add(const std::string& name, const std::string& help, prometheus::MetricType type,
           prometheus::ClientMetric metric) {
    auto& family = by_name_[name];
    family.name = name;
    if (!help.empty()) family.help = help;
    family.type = type;
    family.metric.push_back(std::move(metric));
  }
  [[nodiscard]] std::vector<prometheus::MetricFamily> take() {
    std::vector<prometheus::MetricFamily> all;
    for (auto& [name, family] : by_name_) all.push_back(std::move(family));
    return all;
  }

 private:
  std::map<std::string, prometheus::MetricFamily> by_name_;
};

prometheus::ClientMetric::Histogram buckets_of(const Histogram& histogram) {
  prometheus::ClientMetric::Histogram out;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    below += histogram.bucket(i);
    out.bucket.push_back({below, static_cast<double>((std::uint64_t{1} << i) - 1)});
  }
  out.bucket.push_back({below, std::numeric_limits<double>::infinity()});
  out.sample_count = below;
  out.sample_sum = static_cast<double>(histogram.sum());
  return out;
}

void add_gauge(Families& families, const char* name, const char* help, const Labels& labels,
               double value) {
  auto metric = labelled(labels);
  metric.gauge.value = value;
  families.add(name, help, prometheus::MetricType::Gauge, std::move(metric));
}

// Who holds the watermark back changes from one scrape to the next, so it is asked for and not
// kept.
void add_event_time(Families& families, const EventTimeOfSources& event_time, const Clock& clock) {
  for (const auto& [source, watermarks] : event_time) {
    const auto holder = watermarks->holder();
    if (!holder) continue;
    const Labels labels{{"operator", source}, {"split", holder->split}};
    add_gauge(families, "tidemill_watermark_held_by_split_milliseconds",
              "How far the split that holds the watermark back is behind the fastest one", labels,
              static_cast<double>(holder->behind.count()));
    add_gauge(families, "tidemill_watermark_held_by_split_since_seconds",
              "For how long this split has been the one", labels,
              std::chrono::duration<double>(clock.monotonic() - holder->since).count());
  }
}

}  // namespace

std::string prometheus_text(const MetricRegistry& metrics, const EventTimeOfSources& event_time,
                            const Clock& clock) {
  Families families;
  add_event_time(families, event_time, clock);
  MetricRegistry::Visitor visitor;
  visitor.counter = [&](const std::string& name, const Labels& labels, const std::string& help,
                        const Counter& counter) {
    auto metric = labelled(labels);
    metric.counter.value = static_cast<double>(counter.value());
    families.add(name, help, prometheus::MetricType::Counter, std::move(metric));
  };
  visitor.gauge = [&](const std::string& name, const Labels& labels, const std::string& help,
                      const Gauge& gauge) {
    auto metric = labelled(labels);
    metric.gauge.value = gauge.value();
    families.add(name, help, prometheus::MetricType::Gauge, std::move(metric));
  };
  visitor.histogram = [&](const std::string& name, const Labels& labels, const std::string& help,
                          const Histogram& histogram) {
    auto metric = labelled(labels);
    metric.histogram = buckets_of(histogram);
    families.add(name, help, prometheus::MetricType::Histogram, std::move(metric));
  };
  visitor.ranking = [&](const std::string& name, const Labels& labels, const std::string& help,
                        const Ranking& ranking) {
    for (const Ranking::Entry& entry : ranking.entries()) {
      Labels named = labels;
      named.emplace_back("key", entry.name);
      add_gauge(families, name.c_str(), help.c_str(), named, entry.share);
    }
  };
  metrics.visit(visitor);
  return prometheus::TextSerializer().Serialize(families.take());
}

}  // namespace tidemill
