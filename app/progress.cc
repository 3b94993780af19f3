#include "app/progress.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <unistd.h>

#include "app/logging.h"
#include "connectors/formats/iso_time.h"
#include "engine/base/log.h"

namespace tidemill {

JobTotals totals_of(const Environment& env) {
  JobTotals totals;
  std::map<std::string, std::uint64_t> rows_of_sink;
  MetricRegistry::Visitor visitor;
  visitor.counter = [&](const std::string& name, const Labels& labels, const std::string&,
                        const Counter& counter) {
    if (name == "tidemill_source_records_total") totals.events += counter.value();
    if (name == "tidemill_records_out_total") {
      for (const auto& [label, value] : labels) {
        if (label == "operator") rows_of_sink[value] += counter.value();
      }
    }
    if (name == "tidemill_late_records_total") totals.late += counter.value();
    if (name == "tidemill_bad_records_total") totals.bad += counter.value();
  };
  visitor.gauge = [&](const std::string& name, const Labels&, const std::string&,
                      const Gauge& gauge) {
    if (name == "tidemill_source_lag_records") totals.lag = totals.lag.value_or(0) + gauge.value();
  };
  visitor.histogram = [](const std::string&, const Labels&, const std::string&, const Histogram&) {
  };
  env.metrics().visit(visitor);
  // Several sinks of the same rows write each of them once.
  for (const auto& [sink, rows] : rows_of_sink) {
    if (env.sinks_of_rejects().count(sink) == 0) totals.rows = std::max(totals.rows, rows);
  }
  return totals;
}

ProgressReporter::ProgressReporter(const Supervisor& supervisor, const Environment& env,
                                   const Clock& clock)
    : supervisor_(supervisor),
      env_(env),
      clock_(clock),
      is_terminal_(::isatty(STDERR_FILENO) == 1),
      last_at_(clock.monotonic()) {
  thread_ = std::thread([this] { run(); });
}

ProgressReporter::~ProgressReporter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void ProgressReporter::run() {
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, std::chrono::seconds(1), [&] { return stopping_; })) {
    const std::string text = line();
    if (logs_json()) {
      log(LogLevel::kInfo, text);
    } else if (is_terminal_) {
      std::fprintf(stderr, "\r\033[K%s", text.c_str());
    } else {
      std::fprintf(stderr, "%s\n", text.c_str());
    }
    std::fflush(stderr);
  }
  if (is_terminal_ && !logs_json()) std::fprintf(stderr, "\n");
}

std::string ProgressReporter::line() {
  const JobTotals totals = totals_of(env_);
  const auto now = clock_.monotonic();
  const double seconds = std::chrono::duration<double>(now - last_at_).count();
  const double rate = seconds > 0 ? static_cast<double>(totals.events - last_events_) / seconds : 0;
  last_events_ = totals.events;
  last_at_ = now;
  const JobProgress progress = supervisor_.progress();
  char numbers[200];
  std::snprintf(
      numbers, sizeof numbers, "%.0f events/s  events %llu  rows %llu  late %llu  bad %llu", rate,
      static_cast<unsigned long long>(totals.events), static_cast<unsigned long long>(totals.rows),
      static_cast<unsigned long long>(totals.late), static_cast<unsigned long long>(totals.bad));
  std::string text = numbers;
  if (totals.lag) text += "  lag " + std::to_string(static_cast<std::uint64_t>(*totals.lag));
  for (const auto& [name, watermarks] : supervisor_.event_time()) {
    const EventTime merged = watermarks->merged();
    text += "  watermark ";
    if (merged.is_finite()) {
      append_iso_time(text, merged);
    } else {
      text += "none";
    }
    if (const auto holder = watermarks->holder(); holder && holder->behind > Duration::zero()) {
      text += " held by " + holder->split;
    }
  }
  text += "  checkpoint ";
  if (progress.last_commit_at) {
    text += std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(
                               now - *progress.last_commit_at)
                               .count()) +
            " ms ago";
  } else {
    text += "none yet";
  }
  if (progress.restarts > 0) text += "  restarts " + std::to_string(progress.restarts);
  return text;
}

}  // namespace tidemill
