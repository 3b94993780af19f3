// What a keyed exchange costs, and what a second core is worth: rows of 48 bytes through the
// engine, two subtasks on two workers.
//
//   exchange_bench hop [ROUNDS]     CPU a record and hop: a run whose rows go by key, less the same
//                                   run whose rows stay; half of the rows crossing, and all
//   exchange_bench cores [ROUNDS]   one core and two, by the work that a keyed operator does
//
// Workers are not pinned. What a line costs between the cores is printed before and after: it
// decides what is to be expected, and may change within seconds where machines are shared. Every
// run checks the sum over its rows.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/cpu_time.h"
#include "engine/graph/plan.h"
#include "engine/runtime/job.h"
#include "engine/runtime/source_settings.h"
#include "engine/runtime/threaded_scheduler.h"
#include "operators/graph_builder.h"

namespace tidemill {
namespace {

struct Row {
  std::uint64_t key;
  std::uint64_t value;
  std::array<std::uint64_t, 4> rest;
};
static_assert(sizeof(Row) == 48);

constexpr std::size_t kDistinct = 4096;       // rows of a subtask, read over and over
constexpr std::size_t kRowsAStep = 1024;      // before the next watermark
constexpr std::uint64_t kHopRows = 16 << 20;  // of all subtasks
constexpr std::uint64_t kCoreRows = 8 << 20;

enum class Crossing { kHalf, kAll };

// Rows of each subtask; with kAll their keys belong to another one.
std::vector<std::vector<Row>> make_rows(int parallelism, Crossing crossing) {
  std::vector<std::vector<Row>> all(static_cast<std::size_t>(parallelism));
  for (int s = 0; s < parallelism; ++s) {
    auto& rows = all[static_cast<std::size_t>(s)];
    const KeyGroupRange own = key_groups_of(s, parallelism, kDefaultKeyGroups);
    for (std::uint64_t key = static_cast<std::uint64_t>(s); rows.size() < kDistinct; key += 7) {
      if (crossing == Crossing::kAll && own.contains(key_group_of(key_hash(key), own.groups)))
        continue;
      rows.push_back({key, mix64(key), {key, key, key, key}});
    }
  }
  return all;
}

class RowSource final : public SourceDriver {
 public:
  RowSource(OperatorContext& ctx, const std::vector<Row>& rows, std::uint64_t count)
      : rows_(rows),
        left_(count),
        control_(ctx.resources().get<SourceControl>()),
        out_(ctx.output<Row>(0)) {}

  bool step() override {
    if (has_ended_ || !control_.released) return false;
    ++time_;
    for (std::size_t n = 0; n < kRowsAStep && left_ > 0;) {
      const std::size_t count =
          std::min<std::uint64_t>({left_, kRowsAStep - n, kBatchRows<Row>, rows_.size() - at_});
      out_.emit_all(rows_.data() + at_, count, [&](const Row& row) {
        return Record<Row>{row, EventTime{time_}};
      });
      n += count;
      left_ -= count;
      at_ = (at_ + count) % rows_.size();
    }
    out_.signal(Signal::watermark(EventTime{time_}));
    if (left_ == 0) {
      has_ended_ = true;
      out_.signal(Signal::end());
    }
    return true;
  }
  void on_blocked() override {}
  [[nodiscard]] bool has_ended() const override { return has_ended_; }

 private:
  const std::vector<Row>& rows_;
  std::uint64_t left_;
  const SourceControl& control_;
  Emitter<Row>& out_;
  std::size_t at_ = 0;
  std::int64_t time_ = 0;
  bool has_ended_ = false;
};

// A chain of multiplications that the next record does not depend on, but no two are done at once:
// each begins with what the last one gave.
inline std::uint64_t work(std::uint64_t seed, int rounds) {
  for (int i = 0; i < rounds; ++i) seed = seed * 0x9e3779b97f4a7c15ULL + 1;
  return seed;
}

// Adds up its rows, after `rounds` of work for each.
class Consumer final : public OneInput<Row> {
 public:
  Consumer(OperatorContext&, int rounds, std::atomic<std::uint64_t>* total)
      : rounds_(rounds), total_(total) {}
  ~Consumer() override { *total_ += sum_; }
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  void process(Batch<Row>& batch) override {
    for (const auto& record : batch) {
      sum_ += record.value.value;
      if (rounds_ > 0) spun_ = work(spun_ ^ record.value.key, rounds_);
    }
    asm volatile("" : "+r"(spun_));
  }

 private:
  const int rounds_;
  std::atomic<std::uint64_t>* const total_;
  std::uint64_t sum_ = 0;
  std::uint64_t spun_ = 0;
};

struct Cost {
  double cpu = 0;   // ns a record
  double wall = 0;  // ns a record
};

Cost run(const std::vector<std::vector<Row>>& rows, std::uint64_t count, bool by_key, int rounds) {
  const auto parallelism = static_cast<int>(rows.size());
  const std::uint64_t each = count / rows.size();
  std::atomic<std::uint64_t> total{0};
  GraphBuilder builder;
  Node source;
  source.name = source.kind = "rows";
  source.make_source = [&](OperatorContext& ctx) {
    return std::make_unique<RowSource>(ctx, rows[static_cast<std::size_t>(ctx.subtask())], each);
  };
  const NodeId from = builder.add(std::move(source));
  Node consumer;
  consumer.name = consumer.kind = "consumer";
  consumer.make_operator = [&](OperatorContext& ctx) {
    return std::make_unique<Consumer>(ctx, rounds, &total);
  };
  const NodeId to = builder.add(std::move(consumer));
  if (by_key) {
    builder.connect_by_key<Row>({{from, 0}}, to, &Row::key);
  } else {
    builder.connect<Row>({{from, 0}}, to);
  }

  Cost cost;
  {
    const SystemClock clock;
    MetricRegistry metrics;
    SourceControl control;
    Resources resources;
    resources.lend(control);
    const Plan plan = make_plan(builder.graph(), parallelism);
    Job job(plan, nullptr, resources, metrics, clock, [](TaskSnapshot) {});
    ThreadedScheduler scheduler(job, rows.size());
    const auto begin = std::chrono::steady_clock::now();
    const double cpu_begin = process_cpu_seconds();
    control.released = true;
    scheduler.wake_all();
    while (!scheduler.has_ended() && !scheduler.has_failed())
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    cost.cpu = (process_cpu_seconds() - cpu_begin) * 1e9;
    cost.wall =
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
    scheduler.stop();
    if (scheduler.has_failed()) scheduler.rethrow_failure();
  }
  std::uint64_t wanted = 0;
  for (const auto& of_subtask : rows) {
    for (std::size_t i = 0; i < kDistinct; ++i)
      wanted += of_subtask[i].value * (each / kDistinct + (i < each % kDistinct ? 1 : 0));
  }
  if (total != wanted) throw std::runtime_error("rows were lost or doubled on their way");
  cost.cpu /= static_cast<double>(each * rows.size());
  cost.wall /= static_cast<double>(each * rows.size());
  return cost;
}

double median(std::vector<double> of) {
  std::sort(of.begin(), of.end());
  return of[of.size() / 2];
}

struct Spread {
  explicit Spread(std::vector<double> of)
      : least(*std::min_element(of.begin(), of.end())),
        middle(median(of)),
        most(*std::max_element(of.begin(), of.end())) {}
  double least, middle, most;
};

// How long it takes two threads to hand a line to each other and back.
double round_trip_ns() {
  constexpr int kTrips = 200;
  constexpr int kTurns = 20;
  struct alignas(128) Line {
    std::atomic<int> at{0};
  };
  Line there;
  Line back;
  std::thread other([&] {
    for (int i = 1; i <= kTrips * kTurns; ++i) {
      while (there.at.load(std::memory_order_acquire) != i) {
      }
      back.at.store(i, std::memory_order_release);
    }
  });
  std::vector<double> turns;
  for (int turn = 0; turn < kTurns; ++turn) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = turn * kTrips + 1; i <= (turn + 1) * kTrips; ++i) {
      there.at.store(i, std::memory_order_release);
      while (back.at.load(std::memory_order_acquire) != i) {
      }
    }
    turns.push_back(
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count() /
        kTrips);
  }
  other.join();
  return median(turns);
}

void print_round_trip(const char* when) {
  std::printf("round trip between the cores, %s: %.0f ns\n", when, round_trip_ns());
  std::fflush(stdout);
}

void measure_hop(int rounds) {
  for (const Crossing crossing : {Crossing::kHalf, Crossing::kAll}) {
    const auto rows = make_rows(2, crossing);
    const char* name = crossing == Crossing::kAll ? "all" : "half";
    print_round_trip("before");
    std::vector<double> stay, hop, by_key;
    for (int i = 0; i < rounds; ++i) {
      const double without = run(rows, kHopRows, false, 0).cpu;
      const double with = run(rows, kHopRows, true, 0).cpu;
      stay.push_back(without);
      by_key.push_back(with);
      hop.push_back(with - without);
    }
    const Spread spread(hop);
    std::printf(
        "%4s crossing: staying %.2f, by key %.2f; a record and hop %.2f (%.2f to %.2f) ns CPU\n",
        name, median(stay), median(by_key), spread.middle, spread.least, spread.most);
    print_round_trip("after");
  }
}

// Rounds of work that take `ns`.
int rounds_that_take(double ns) {
  constexpr int kRounds = 1000;
  std::vector<double> turns;
  std::uint64_t x = 1;
  for (int turn = 0; turn < 200; ++turn) {
    const double begin = process_cpu_seconds();
    for (int i = 0; i < 20; ++i) x = work(x, kRounds);
    turns.push_back((process_cpu_seconds() - begin) * 1e9 / 20 / kRounds);
  }
  asm volatile("" : "+r"(x));
  return static_cast<int>(ns / median(turns) + 0.5);
}

void measure_cores(int rounds) {
  const auto in_one = make_rows(1, Crossing::kHalf);
  const auto in_two = make_rows(2, Crossing::kHalf);
  print_round_trip("before");
  std::printf("%8s %10s %10s %22s %22s\n", "work ns", "one core", "two cores",
              "2 x CPU of one / two", "clock of one / two");
  for (const double ns : {0.0, 20.0, 60.0, 120.0, 250.0}) {
    const int work_rounds = rounds_that_take(ns);
    std::vector<double> one, two, by_cpu, by_clock;
    for (int i = 0; i < rounds; ++i) {
      const Cost of_one = run(in_one, kCoreRows, true, work_rounds);
      const Cost of_two = run(in_two, kCoreRows, true, work_rounds);
      one.push_back(of_one.cpu);
      two.push_back(of_two.cpu);
      by_cpu.push_back(2 * of_one.cpu / of_two.cpu);
      by_clock.push_back(of_one.wall / of_two.wall);
    }
    const Spread cpu(by_cpu);
    const Spread clock(by_clock);
    std::printf("%8.0f %10.1f %10.1f %7.2f (%.2f to %.2f) %7.2f (%.2f to %.2f)\n", ns, median(one),
                median(two), cpu.middle, cpu.least, cpu.most, clock.middle, clock.least,
                clock.most);
    std::fflush(stdout);
  }
  print_round_trip("after");
}

}  // namespace
}  // namespace tidemill

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 7;
  if ((what != "hop" && what != "cores") || rounds < 1) {
    std::fprintf(stderr, "usage: exchange_bench hop|cores [ROUNDS]\n");
    return 2;
  }
  if (what == "hop") {
    tidemill::measure_hop(rounds);
  } else {
    tidemill::measure_cores(rounds);
  }
  return 0;
}
