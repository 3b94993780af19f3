// Latency in an open loop: a count by key in sliding windows, from the instant at which the event
// that ends a window was due until each of its rows is seen, beside what the machine did meanwhile
// to a thread that only reads the clock.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <thread>
#include <vector>

#include "bench/cpu_time.h"
#include "bench/flags.h"
#include "bench/latency/open_loop.h"
#include "engine/base/metrics.h"
#include "engine/graph/plan.h"
#include "engine/operator/back_pressure.h"
#include "engine/runtime/job.h"
#include "engine/runtime/threaded_scheduler.h"
#include "operators/aggregates.h"
#include "operators/keyed_stream.h"
#include "state/backend.h"

namespace tidemill {
namespace {

constexpr const char* kUsage = R"(usage: latency_bench [FLAGS]
  --seconds N      measured (60)          --warm-up N       before that (10)
  --rate N         events a second; 0: --load percent of what is measured first (0)
  --load N         (50)                   --keys N          (10000)
  --size MS        of a window (1000)     --slide MS        (10)
  --workers N      threads (1)            --poll N          rows a step of the source at most (1024)
  --hiccups KIND   the thread that reads the clock: spin takes a core, sleep wakes every 0.1 ms
                   (spin if a core is left for it)
  --series FILE    a line of CSV for each second: latency, hiccups, resident memory, open files, CPU
Prints a JSON object; latencies in microseconds.
)";

using Clock = std::chrono::steady_clock;

struct Setting {
  std::int64_t size;
  std::int64_t slide;
  int workers;
  std::int64_t warm_up;
  bool may_spin;
  std::string series;
};

// How late a thread saw each of the instants that lie 0.1 ms apart.
struct Hiccups {
  LogLinear<10> all;
  std::vector<LogLinear<4>> by_second;
  double cpu_s = 0;
};

void read_clock(const std::stop_token& stop, const Schedule& schedule, const Setting& setting,
                Hiccups& seen) {
  constexpr auto kApart = std::chrono::microseconds(100);
  ::prctl(PR_SET_TIMERSLACK, 1);
  auto next = schedule.start;
  while (!stop.stop_requested()) {
    auto now = Clock::now();
    if (now < next) {
      if (!setting.may_spin) std::this_thread::sleep_until(next);
      continue;
    }
    for (; next <= now; next += kApart) {
      const std::int64_t second =
          std::chrono::duration_cast<std::chrono::seconds>(next - schedule.start).count();
      if (second >= schedule.seconds) break;
      const std::int64_t late = std::chrono::nanoseconds(now - next).count();
      seen.by_second[static_cast<std::size_t>(second)].record(late);
      if (second >= setting.warm_up) seen.all.record(late);
    }
  }
  seen.cpu_s = thread_cpu_seconds();
}

// Once a second, of the process.
struct Sample {
  double resident_mb;
  std::size_t open_files;
  double cpu_s;
};
Sample sample() {
  Sample s{0, 0, process_cpu_seconds()};
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kib = 0;
    if (word == "VmRSS:" && status >> kib) s.resident_mb = kib / 1024;
  }
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator("/proc/self/fd"))
    ++s.open_files;
  return s;
}

struct Ran {
  double wall_s = 0;
  double cpu_s = 0;  // without the thread that reads the clock
  Hiccups hiccups;
  std::vector<Sample> samples;
};

Ran run(Schedule& schedule, const Setting& setting, Observed& observed) {
  const auto graph = std::make_shared<GraphBuilder>();
  Node node;
  node.name = node.kind = "events";
  node.make_source = [&](OperatorContext& ctx) {
    return std::make_unique<ScheduledSource>(ctx, schedule,
                                             static_cast<std::uint64_t>(setting.workers));
  };
  const NodeId id = graph->add(std::move(node));
  Stream<Event>(graph, {{id, 0}})
      .key_by(&Event::key)
      .window(Sliding{.size = Duration(setting.size), .slide = Duration(setting.slide)})
      .aggregate<Count>("counts")
      .process<Observe>("rows", &schedule, setting.warm_up, &observed);

  const SystemClock clock;
  MetricRegistry metrics;
  SourceControl control;
  Resources resources;
  resources.lend(control);
  const auto backend = make_backend("memory", {});
  backend->restore({}, {});
  resources.lend<Backend>(*backend);
  resources.lend<BackPressure>(backend->budget());
  const Plan plan = make_plan(graph->graph(), setting.workers, kDefaultKeyGroups);
  Job job(plan, nullptr, resources, metrics, clock, [](TaskSnapshot) {});
  ThreadedScheduler scheduler(job, static_cast<std::size_t>(setting.workers));

  Ran ran;
  ran.hiccups.by_second.resize(static_cast<std::size_t>(schedule.seconds));
  ran.samples.reserve(static_cast<std::size_t>(schedule.seconds) + 10);
  schedule.start = Clock::now() + std::chrono::milliseconds(schedule.is_paced ? 50 : 0);
  const double cpu_begin = process_cpu_seconds();
  {
    std::jthread reader;
    if (schedule.is_paced)
      reader = std::jthread(
          [&](const std::stop_token& stop) { read_clock(stop, schedule, setting, ran.hiccups); });
    control.released = true;
    scheduler.wake_all();
    auto next_sample = schedule.start;
    while (!scheduler.has_ended() && !scheduler.has_failed()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      if (!schedule.is_paced || Clock::now() < next_sample) continue;
      next_sample += std::chrono::seconds(1);
      ran.samples.push_back(sample());
    }
    ran.wall_s = std::chrono::duration<double>(Clock::now() - schedule.start).count();
    ran.cpu_s = process_cpu_seconds() - cpu_begin;
  }
  ran.cpu_s -= ran.hiccups.cpu_s;
  scheduler.stop();
  if (scheduler.has_failed()) scheduler.rethrow_failure();
  return ran;
}

// Each event counts once in each of its windows; where every key has many events in a window, each
// window gives a row of every key.
void check(const Schedule& schedule, const Setting& setting, const Latencies& seen) {
  const auto windows = static_cast<std::uint64_t>(setting.size / setting.slide);
  if (seen.sum != schedule.events() * windows)
    throw std::runtime_error("the rows count " + std::to_string(seen.sum) + " instead of " +
                             std::to_string(schedule.events() * windows));
  const double each =
      schedule.rate * static_cast<double>(setting.size) / 1000 / static_cast<double>(schedule.keys);
  const std::int64_t full = (schedule.seconds * 1000 - setting.size - 1) / setting.slide + 1;
  const std::uint64_t wanted = full > 0 && schedule.seconds * 1000 > setting.size
                                   ? static_cast<std::uint64_t>(full) * schedule.keys
                                   : 0;
  if (each >= 100 && seen.full_rows != wanted)
    throw std::runtime_error("windows gave " + std::to_string(seen.full_rows) +
                             " rows instead of " + std::to_string(wanted));
}

// The rate at which a second of events takes a second: what a rate does not need of the time is
// offered to more events, until that is little. What windows give out does not depend on the rate.
double capacity(Schedule schedule, const Setting& setting) {
  schedule.is_paced = false;
  schedule.seconds = 2;
  schedule.rate = 1e6;
  for (int attempt = 0; attempt < 8; ++attempt) {
    Observed observed{{}, Latencies(schedule.seconds)};
    const Ran ran = run(schedule, setting, observed);
    check(schedule, setting, observed.latencies);
    const double times = static_cast<double>(schedule.seconds) / ran.wall_s;
    std::fprintf(stderr, "%.0f events/s could be read %.2f times as fast\n", schedule.rate, times);
    if (times > 0.95 && times < 1.05) break;
    schedule.rate *= std::min(times, 8.0);
  }
  return schedule.rate;
}

std::string percentiles(const LogLinear<10>& h) {
  const auto us = [](std::int64_t ns) { return static_cast<double>(ns) / 1000; };
  char text[300];
  std::snprintf(text, sizeof text,
                "{\"count\": %llu, \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, "
                "\"p99.99\": %.1f, \"max\": %.1f}",
                static_cast<unsigned long long>(h.count()), us(h.quantile(0.5)),
                us(h.quantile(0.9)), us(h.quantile(0.99)), us(h.quantile(0.999)),
                us(h.quantile(0.9999)), us(h.greatest()));
  return text;
}

void write_series(const std::string& path, const Ran& ran, const Latencies& seen) {
  std::ofstream out(path, std::ios::trunc);
  out << "second,rows,p50_us,p99_us,max_us,hiccup_p99_us,hiccup_max_us,resident_mb,open_files,"
         "cpu\n";
  for (std::size_t s = 0; s + 1 < ran.samples.size() && s < seen.by_second.size(); ++s) {
    const auto& rows = seen.by_second[s];
    const auto& hiccups = ran.hiccups.by_second[s];
    const Sample& at = ran.samples[s + 1];
    char line[300];
    std::snprintf(line, sizeof line, "%zu,%llu,%.1f,%.1f,%.1f,%.1f,%.1f,%.1f,%zu,%.3f\n", s,
                  static_cast<unsigned long long>(rows.count()),
                  static_cast<double>(rows.quantile(0.5)) / 1e3,
                  static_cast<double>(rows.quantile(0.99)) / 1e3,
                  static_cast<double>(rows.greatest()) / 1e3,
                  static_cast<double>(hiccups.quantile(0.99)) / 1e3,
                  static_cast<double>(hiccups.greatest()) / 1e3, at.resident_mb, at.open_files,
                  at.cpu_s - ran.samples[s].cpu_s);
    out << line;
  }
  if (!out.flush()) throw std::runtime_error("cannot be written: " + path);
}

int run_all(int argc, char** argv) {
  const Flags flags(argc, argv, kUsage,
                    {{"--seconds", "60"},
                     {"--warm-up", "10"},
                     {"--rate", "0"},
                     {"--load", "50"},
                     {"--keys", "10000"},
                     {"--size", "1000"},
                     {"--slide", "10"},
                     {"--workers", "1"},
                     {"--poll", "1024"},
                     {"--hiccups", ""},
                     {"--series", ""}});
  Setting setting{flags.number<std::int64_t>("--size", 1),
                  flags.number<std::int64_t>("--slide", 1),
                  flags.number<int>("--workers", 1),
                  flags.number<std::int64_t>("--warm-up", 0),
                  false,
                  flags.text("--series")};
  if (setting.size % setting.slide != 0)
    throw std::invalid_argument("--size must be a multiple of --slide, or rows cannot be checked");
  setting.may_spin =
      flags.text("--hiccups").empty()
          ? static_cast<unsigned>(setting.workers) < std::thread::hardware_concurrency()
          : flags.choice("--hiccups", {"spin", "sleep"}) == "spin";
  Schedule schedule;
  schedule.keys = flags.number<std::uint64_t>("--keys", 1);
  schedule.poll = flags.number<std::size_t>("--poll", 1);
  schedule.seconds = setting.warm_up + flags.number<std::int64_t>("--seconds", 1);
  schedule.rate = flags.number<double>("--rate", 0);
  const double load = flags.number<double>("--load", 1);
  double most = 0;
  if (schedule.rate == 0) schedule.rate = (most = capacity(schedule, setting)) * load / 100;

  Observed observed{{}, Latencies(schedule.seconds)};
  const Ran ran = run(schedule, setting, observed);
  check(schedule, setting, observed.latencies);
  if (!setting.series.empty()) write_series(setting.series, ran, observed.latencies);
  std::printf(
      "{\"events_per_s\": %.0f, \"capacity_per_s\": %.0f, \"seconds\": %lld, \"keys\": %llu, "
      "\"size_ms\": %lld, \"slide_ms\": %lld, \"workers\": %d, \"poll\": %zu,\n"
      " \"rows\": %llu, \"cpu_cores\": %.2f, \"hiccups\": \"%s\",\n"
      " \"latency_us\": %s,\n \"hiccup_us\": %s}\n",
      schedule.rate, most, static_cast<long long>(schedule.seconds - setting.warm_up),
      static_cast<unsigned long long>(schedule.keys), static_cast<long long>(setting.size),
      static_cast<long long>(setting.slide), setting.workers, schedule.poll,
      static_cast<unsigned long long>(observed.latencies.rows), ran.cpu_s / ran.wall_s,
      setting.may_spin ? "spin" : "sleep", percentiles(observed.latencies.all).c_str(),
      percentiles(ran.hiccups.all).c_str());
  return 0;
}

}  // namespace
}  // namespace tidemill

int main(int argc, char** argv) {
  try {
    return tidemill::run_all(argc, argv);
  } catch (const std::invalid_argument& e) {
    std::fprintf(stderr, "latency_bench: %s; --help lists the flags\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "latency_bench: %s\n", e.what());
    return 1;
  }
}
