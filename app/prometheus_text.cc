#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <utility>
#include <vector>

#include "app/metric_help.h"
#include "app/metrics_text.h"

namespace tidemill {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;

ClientMetric labelled(const Labels& labels) {
  ClientMetric metric;
  for (const auto& [name, value] : labels) metric.label.push_back({name, value});
  return metric;
}

class Families {
 public:
  void add(const std::string& name, const std::string& help, MetricType type, ClientMetric metric) {
    auto& family = by_name_[name];
    family.name = name;
    family.help = help.empty() ? help_of(name) : help;
    family.type = type;
    family.metric.push_back(std::move(metric));
  }
  void gauge(const std::string& name, const std::string& help, const Labels& labels, double value) {
    auto metric = labelled(labels);
    metric.gauge.value = value;
    add(name, help, MetricType::Gauge, std::move(metric));
  }
  [[nodiscard]] std::vector<prometheus::MetricFamily> take() {
    std::vector<prometheus::MetricFamily> all;
    for (auto& [name, family] : by_name_) all.push_back(std::move(family));
    return all;
  }

 private:
  std::map<std::string, prometheus::MetricFamily> by_name_;
};

// Powers of two from 64 us to 19 hours: every bucket is a series that Prometheus keeps, so these
// are coarser than what the page's quantiles are read from.
constexpr int kFirstPower = 6;
constexpr int kLastPower = 36;

ClientMetric::Histogram buckets_of(const Histogram& histogram) {
  ClientMetric::Histogram out;
  std::uint64_t below = 0;
  int power = kFirstPower;
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    if (power <= kLastPower && Histogram::lower_bound(i) == std::uint64_t{1} << power) {
      out.bucket.push_back({below, static_cast<double>(std::uint64_t{1} << power) / 1e6});
      ++power;
    }
    below += histogram.bucket(i);
  }
  out.bucket.push_back({below, std::numeric_limits<double>::infinity()});
  out.sample_count = below;
  out.sample_sum = histogram.sum_us() / 1e6;
  return out;
}

// Who holds the watermark back changes from one scrape to the next.
void add_event_time(Families& families, const EventTimeOfSources& event_time, const Clock& clock) {
  for (const auto& [source, watermarks] : event_time) {
    const auto holder = watermarks->holder();
    if (!holder) continue;
    const Labels labels{{"operator", source}, {"split", holder->split}};
    families.gauge("tidemill_watermark_held_by_split_seconds",
                   "How far the split that holds the watermark back is behind the fastest one",
                   labels, static_cast<double>(holder->behind.count()) / 1000);
    families.gauge("tidemill_watermark_held_by_split_since_seconds",
                   "For how long this split has been the one", labels,
                   std::chrono::duration<double>(clock.monotonic() - holder->since).count());
  }
}

void add_job(Families& families, const JobFigures& figures, const std::string& replay) {
  families.gauge("tidemill_job_info", "1; what runs here",
                 {{"name", figures.job},
                  {"version", figures.version},
                  {"parallelism", std::to_string(figures.parallelism)},
                  {"replay", replay}},
                 1);
  for (const char* state : kJobStates) {
    families.gauge("tidemill_job_state", "1 for the state that the job is in", {{"state", state}},
                   figures.state == state ? 1 : 0);
  }
  for (const char* id : kProblemIds) {
    const bool is_found = std::any_of(figures.problems.begin(), figures.problems.end(),
                                      [&](const Problem& problem) { return problem.id == id; });
    families.gauge("tidemill_job_problem", "1 for each problem that the job has, by its id",
                   {{"problem", id}, {"replay", replay}}, is_found ? 1 : 0);
  }
}

void add_process(Families& families, const ProcessFigures& process) {
  const auto gauge = [&](const char* name, const char* help, const std::optional<double>& value) {
    if (value) families.gauge(name, help, {}, *value);
  };
  if (process.cpu_seconds) {
    ClientMetric metric;
    metric.counter.value = *process.cpu_seconds;
    families.add("process_cpu_seconds_total", "User and system CPU time", MetricType::Counter,
                 std::move(metric));
  }
  gauge("process_resident_memory_bytes", "Resident memory", process.resident_bytes);
  gauge("process_virtual_memory_bytes", "Virtual memory", process.virtual_bytes);
  gauge("process_open_fds", "Open file descriptors", process.open_fds);
  gauge("process_max_fds", "Most file descriptors that may be open", process.max_fds);
  gauge("process_start_time_seconds", "When the process was started, since the epoch",
        process.start_seconds);
}

}  // namespace

std::string prometheus_text(const MetricRegistry& metrics, const JobFigures& figures,
                            const Clock& clock) {
  const std::string replay = figures.is_replay ? "true" : "false";
  Families families;
  add_job(families, figures, replay);
  add_process(families, figures.process);
  add_event_time(families, figures.event_time, clock);
  MetricRegistry::Visitor visitor;
  visitor.counter = [&](const std::string& name, const Labels& labels, const std::string& help,
                        const Counter& counter) {
    auto metric = labelled(labels);
    const auto value = static_cast<double>(counter.value());
    metric.counter.value = name.ends_with("_seconds_total") ? value / 1e9 : value;
    families.add(name, help, MetricType::Counter, std::move(metric));
  };
  visitor.gauge = [&](const std::string& name, const Labels& labels, const std::string& help,
                      const Gauge& gauge) { families.gauge(name, help, labels, gauge.value()); };
  visitor.histogram = [&](const std::string& name, const Labels& labels, const std::string& help,
                          const Histogram& histogram) {
    auto metric = labelled(labels);
    // The ages of a replay are those of its data: nobody is to be paged for them.
    if (name == "tidemill_event_age_seconds") metric.label.push_back({"replay", replay});
    metric.histogram = buckets_of(histogram);
    families.add(name, help, MetricType::Histogram, std::move(metric));
  };
  visitor.ranking = [&](const std::string& name, const Labels& labels, const std::string& help,
                        const Ranking& ranking) {
    for (const Ranking::Entry& entry : ranking.entries()) {
      Labels named = labels;
      named.emplace_back("key", entry.name);
      families.gauge(name, help, named, entry.share);
    }
  };
  metrics.visit(visitor);
  return prometheus::TextSerializer().Serialize(families.take());
}

}  // namespace tidemill
