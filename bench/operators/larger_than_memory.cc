// Operators whose state is larger than what it may hold in memory, on the rocksdb backend.
//
//   larger_than_memory sessions [SESSIONS]     10,000,000 by default, one open session a key, 256
//   MiB larger_than_memory join [ROWS]             1,000,000 by default, 300 bytes, half a side, 64
//   MiB
//
// Prints the highest resident memory of the process and what it was before the first record, the
// highest that tables held, and CPU time of the process by record, RocksDB's threads included.
// Checks the number of rows.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>

#include <boost/describe.hpp>

#include "bench/cpu_time.h"
#include "engine/runtime/stage.h"
#include "operators/aggregates.h"
#include "operators/interval_join.h"
#include "operators/session_window.h"
#include "state/backend.h"

namespace tidemill {
namespace {

constexpr std::uint64_t kBatch = 1000;
constexpr std::size_t kMiB = std::size_t{1} << 20;

struct Event {
  std::uint64_t key;
};
struct Row {
  std::uint64_t key;
  std::string text;
  BOOST_DESCRIBE_CLASS(Row, (), (key, text), (), ())
};
using Sessions =
    SessionWindow<Event, Count, std::uint64_t Event::*, FinishWithResult, Revisions::kAppendOnly>;
// A pair is as large as its key: it is the state that is measured.
struct KeyOfPair {
  std::uint64_t operator()(const Row& left, const Row& /*right*/) const { return left.key; }
};
using Join = IntervalJoin<Row, Row, std::uint64_t Row::*, std::uint64_t Row::*, KeyOfPair>;

class CountingOutlet final : public Outlet {
 public:
  void push(AnyBatch batch) override { rows += batch->size(); }
  void push(const Signal& /*signal*/) override {}
  [[nodiscard]] bool is_blocked() const override { return false; }
  std::uint64_t rows = 0;
};

// MiB the process had at most.
std::size_t most_resident() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::size_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib / 1024;
  }
  throw std::runtime_error("/proc/self/status has no VmHWM");
}

// One stage over its state.
class Bench {
 public:
  Bench(const std::filesystem::path& folder, std::size_t memory,
        const std::function<std::unique_ptr<Operator>(OperatorContext&)>& make)
      : backend_(make_backend("rocksdb", {.dir = folder / "work", .memory = memory})) {
    backend_->restore({}, {});
    resources_.lend<Backend>(*backend_);
    stage_ = std::make_unique<Stage>(
        std::make_unique<OperatorContext>(
            OperatorContext::Place{"bench", 0, 1, key_groups_of(0, 1, kDefaultKeyGroups)},
            resources_, metrics_, clock_, nullptr),
        make);
    stage_->context().ports().at(0)->connect(out_);
    before_ = most_resident();
    begin_ = process_cpu_seconds();
  }

  void push(int input, AnyBatch batch) {
    records_ += batch->size();
    stage_->on_batch(input, std::move(batch));
    settle();
  }
  void end() {
    stage_->on_signal(Signal::watermark(EventTime::max()));
    settle();
    while (stage_->has_work()) {
      stage_->work();
      settle();
    }
  }
  void print(const char* what, std::uint64_t wanted_rows) const {
    if (out_.rows != wanted_rows)
      throw std::runtime_error(std::to_string(out_.rows) + " rows instead of " +
                               std::to_string(wanted_rows));
    std::printf(
        "%s: %llu records, %llu rows as wanted; resident at most %zu MiB (%zu before), tables at "
        "most %zu MiB; %.2f us CPU a record\n",
        what, static_cast<unsigned long long>(records_), static_cast<unsigned long long>(out_.rows),
        most_resident(), before_, tables_ / kMiB,
        (process_cpu_seconds() - begin_) * 1e6 / static_cast<double>(records_));
  }

 private:
  // As the runtime does between batches: gives memory back.
  void settle() {
    stage_->tick();
    tables_ = std::max(tables_, backend_->budget().used());
  }

  const std::unique_ptr<Backend> backend_;
  Resources resources_;
  MetricRegistry metrics_;
  const SystemClock clock_;
  CountingOutlet out_;
  std::unique_ptr<Stage> stage_;
  std::size_t before_ = 0;
  std::size_t tables_ = 0;
  double begin_ = 0;
  std::uint64_t records_ = 0;
};

// All sessions are open until the end.
void run_sessions(std::uint64_t sessions, const std::filesystem::path& folder) {
  Bench bench(folder, 256 * kMiB, [](OperatorContext& ctx) {
    return std::make_unique<Sessions>(ctx, Session{Duration(3'600'000)}, WindowOptions{},
                                      &Event::key);
  });
  std::mt19937_64 random(7);
  for (std::uint64_t i = 0; i < sessions; i += kBatch) {
    auto batch = std::make_unique<Batch<Event>>(kBatch);
    for (std::uint64_t key = i; key < std::min(sessions, i + kBatch); ++key)
      batch->append({key}, EventTime{static_cast<std::int64_t>(random() % 3'600'000)});
    bench.push(0, std::move(batch));
  }
  bench.end();
  bench.print("sessions", sessions);
}

// Both sides are kept until the end; each row has one partner.
void run_join(std::uint64_t rows, const std::filesystem::path& folder) {
  Bench bench(folder, 64 * kMiB, [](OperatorContext& ctx) {
    return std::make_unique<Join>(
        ctx, IntervalJoinOptions{Duration(-3'600'000), Duration(3'600'000)}, &Row::key, &Row::key);
  });
  const std::uint64_t side = rows / 2;
  for (const int input : {0, 1}) {
    for (std::uint64_t i = 0; i < side; i += kBatch) {
      auto batch = std::make_unique<Batch<Row>>(kBatch);
      for (std::uint64_t key = i; key < std::min(side, i + kBatch); ++key)
        batch->append({key, std::string(300, 'x')},
                      EventTime{static_cast<std::int64_t>(key * 3'600'000 / side)});
      bench.push(input, std::move(batch));
    }
  }
  bench.end();
  bench.print("interval join", side);
}

void run(std::string_view what, std::uint64_t count, const std::filesystem::path& folder) {
  if (what == "sessions") return run_sessions(count != 0 ? count : 10'000'000, folder);
  if (what == "join") return run_join(count != 0 ? count : 1'000'000, folder);
  throw std::runtime_error("usage: larger_than_memory sessions|join [COUNT]");
}

}  // namespace
}  // namespace tidemill

int main(int argc, char** argv) {
  const auto folder = std::filesystem::temp_directory_path() /
                      ("tidemill-larger-than-memory-" + std::to_string(std::random_device{}()));
  std::filesystem::create_directories(folder);
  int status = 0;
  try {
    tidemill::run(argc > 1 ? argv[1] : "", argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0,
                  folder);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    status = 1;
  }
  std::filesystem::remove_all(folder);
  return status;
}
