// How long a barrier waits while timers fire: many timers of a process function fall due at one
// watermark, and data lies between the watermark and the barrier.
//
//   timer_bench [TIMERS] [BACKEND]     10,000,000 by default, one for each key; memory or rocksdb
//
// Prints the time to set and to fire a timer, and the longest time that a piece of the firing, a
// batch of records for keys that owe timers, and the barrier behind it took together, in CPU time.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>

#include "bench/cpu_time.h"
#include "engine/runtime/stage.h"
#include "operators/process_function.h"
#include "state/backend.h"

namespace tidemill {
namespace {

struct Ask {
  std::uint64_t key;
  EventTime timer;
};
struct Count {
  using Out = std::uint64_t;
  explicit Count(StateContext<std::uint64_t>& /*state*/) {}
  void process(const Ask& ask, ProcessContext<std::uint64_t, Out>& ctx) {
    if (ask.timer > EventTime::min()) ctx.set_timer(ask.timer);
  }
  void on_timer(const FiredTimer& /*timer*/, ProcessContext<std::uint64_t, Out>& ctx) {
    ctx.emit(ctx.key());
  }
};

class CountingOutlet final : public Outlet {
 public:
  void push(AnyBatch batch) override { rows += batch->size(); }
  void push(const Signal& /*signal*/) override {}
  [[nodiscard]] bool is_blocked() const override { return false; }
  std::uint64_t rows = 0;
};

// CPU time of this thread: what else the machine does is not our matter.
double milliseconds_of(auto&& work) {
  const double start = thread_cpu_seconds();
  work();
  return (thread_cpu_seconds() - start) * 1e3;
}

constexpr std::uint64_t kBatch = 1000;

void run(std::uint64_t timers, const char* kind, const std::filesystem::path& folder) {
  const auto backend = make_backend(kind, {.dir = folder / "work"});
  backend->restore({}, {});
  Resources resources;
  resources.lend<Backend>(*backend);
  MetricRegistry metrics;
  const SystemClock clock;
  auto context = std::make_unique<OperatorContext>(
      OperatorContext::Place{"bench", 0, 1, key_groups_of(0, 1, kDefaultKeyGroups)}, resources,
      metrics, clock, nullptr);
  Stage stage(std::move(context), [](OperatorContext& ctx) {
    return std::make_unique<KeyedProcess<Count, Ask, std::uint64_t Ask::*>>(ctx, ProcessOptions{},
                                                                            &Ask::key);
  });
  CountingOutlet out;
  stage.context().ports().at(0)->connect(out);

  std::mt19937_64 random(7);
  const double setting = milliseconds_of([&] {
    for (std::uint64_t i = 0; i < timers; i += kBatch) {
      auto batch = std::make_unique<Batch<Ask>>(kBatch);
      for (std::uint64_t k = i; k < std::min(timers, i + kBatch); ++k)
        batch->append({k, EventTime{static_cast<std::int64_t>(random() % 3'600'000)}}, {0});
      stage.on_batch(0, std::move(batch));
    }
  });
  double longest = 0;
  double longest_piece = 0;
  double all = milliseconds_of([&] { stage.on_signal(Signal::watermark({3'600'000})); });
  longest_piece = all;
  CheckpointId checkpoint = 0;  // one is taken, its content copied out between later batches
  bool is_drained = false;
  double with_last_piece = all;
  while (stage.has_work()) {
    auto batch = std::make_unique<Batch<Ask>>(kBatch);
    for (std::uint64_t i = 0; i < kBatch; ++i)
      batch->append({random() % timers, EventTime::min()}, {3'600'000});
    const double between = milliseconds_of([&] {
      stage.on_batch(0, std::move(batch));
      if (checkpoint == 0) stage.on_signal(Signal::barrier(++checkpoint));
      if (!is_drained) is_drained = stage.drain(1000);
    });
    longest = std::max(longest, with_last_piece + between);
    with_last_piece = milliseconds_of([&] { stage.work(); });
    longest_piece = std::max(longest_piece, with_last_piece);
    all += with_last_piece + between;
  }
  if (out.rows != timers) throw std::runtime_error("not every timer has fired once");
  std::printf(
      "%llu timers: set %.0f ns, fired %.0f ns each; longest piece %.1f ms, longest wait of a "
      "barrier behind a piece and a batch %.1f ms\n",
      static_cast<unsigned long long>(timers), setting * 1e6 / static_cast<double>(timers),
      all * 1e6 / static_cast<double>(timers), longest_piece, longest);
}

}  // namespace
}  // namespace tidemill

int main(int argc, char** argv) {
  const std::uint64_t timers = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000'000;
  const auto folder = std::filesystem::temp_directory_path() /
                      ("tidemill-timer-bench-" + std::to_string(std::random_device{}()));
  std::filesystem::create_directories(folder);
  try {
    tidemill::run(timers, argc > 2 ? argv[2] : "memory", folder);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    std::filesystem::remove_all(folder);
    return 1;
  }
  std::filesystem::remove_all(folder);
  return 0;
}
