// Keyed state several times as large as its memory, on the rocksdb backend.
//
//   beyond_memory MODE KEYS [UPDATES] [MEMORY_MIB] [TIMES]
//
// MODE: merge (what is added up is merged with the rest later, as windows do) or read (the value is
// read first, as operators of one's own do). KEYS: uniform or zipf (0.99, scrambled). The state is
// TIMES (4) as large as MEMORY_MIB (256), as it would be in tables; a checkpoint is taken every ten
// seconds, meanwhile updates go on. Prints a line for each tenth of the run: updates per second of
// CPU of the process, RocksDB's threads included, those of the subtask's thread, what lies on disk.
// Checks the sum of all values at the end.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <optional>
#include <string_view>
#include <sys/resource.h>
#include <thread>

#include "bench/cpu_time.h"
#include "bench/state/subtask.h"
#include "bench/zipf.h"
#include "state/windowed_value.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;
constexpr std::size_t kBatch = 1024;
constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kEntryBytes = 60;  // of a key and Totals in a table, its place in the index
constexpr std::size_t kDrawn = std::size_t{1} << 24;
constexpr auto kInterval = std::chrono::seconds(10);

std::vector<std::uint32_t> draw(std::string_view how, std::uint64_t keys) {
  std::mt19937_64 random(1);
  std::vector<std::uint32_t> drawn(kDrawn);
  if (how == "uniform") {
    for (std::uint32_t& d : drawn) d = static_cast<std::uint32_t>(random() % keys);
  } else {
    Zipf zipf(keys, 0.99);
    // Frequent keys are spread over all hashes.
    for (std::uint32_t& d : drawn)
      d = static_cast<std::uint32_t>((zipf(random) * 2'654'435'761U) % keys);
  }
  return drawn;
}

std::size_t stored_bytes(const Taken& taken) {
  std::size_t bytes = 0;
  for (const StoredFile& file : taken.files) bytes += file.size;
  return bytes;
}

class Run {
 public:
  Run(bool merges, std::string_view how, std::size_t memory, std::size_t times)
      : merges_(merges),
        num_keys_(memory * times / kEntryBytes),
        subtask_("rocksdb", memory),
        state_(subtask_.context(), "totals"),
        drawn_(draw(how, num_keys_)) {}

  std::uint64_t num_keys() const { return num_keys_; }

  // Every key once, then a checkpoint.
  void fill() {
    std::vector<std::uint64_t> numbers(kBatch);
    for (std::uint64_t n = 0; n < num_keys_; n += kBatch) {
      numbers.resize(std::min<std::uint64_t>(kBatch, num_keys_ - n));
      for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = n + i;
      update(numbers);
    }
    begin_checkpoint();
    while (checkpoint_.valid()) step_checkpoint(true);
  }

  void run(std::uint64_t updates) {
    std::vector<std::uint64_t> numbers(kBatch);
    last_checkpoint_ = SteadyClock::now();
    for (int tenth = 1; tenth <= 10; ++tenth) {
      const double start = process_cpu_seconds();
      const double thread_start = thread_cpu_seconds();
      const auto clock_start = SteadyClock::now();
      const std::uint64_t before = updates_;
      while (updates_ - before < updates / 10) {
        for (std::uint64_t& n : numbers) n = drawn_[next_++ % kDrawn];
        update(numbers);
        step_checkpoint(false);
        // As sources do.
        while (subtask_.backend().budget().is_exhausted()) {
          step_checkpoint(false);
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          part().give_back_memory();
        }
      }
      const auto done = static_cast<double>(updates_ - before);
      const double cpu = process_cpu_seconds() - start;
      const double thread = thread_cpu_seconds() - thread_start;
      const double clock = std::chrono::duration<double>(SteadyClock::now() - clock_start).count();
      rusage used{};
      ::getrusage(RUSAGE_SELF, &used);
      std::printf("%12" PRIu64
                  " %8.0f k/s of CPU %8.0f k/s of the thread %8.0f k/s by the clock "
                  "%6zu MiB stored %6ld MiB resident %3d checkpoints\n",
                  updates_ - num_keys_, done / cpu / 1000, done / thread / 1000,
                  done / clock / 1000, stored_ / kMiB, used.ru_maxrss / 1024, num_checkpoints_);
      std::fflush(stdout);
    }
    while (checkpoint_.valid() || is_draining_) step_checkpoint(false);
  }

  [[nodiscard]] bool is_sum_right() {
    std::int64_t total = 0;
    std::uint64_t keys = 0;
    for (KeyGroup g = 0; g < kDefaultKeyGroups; ++g) {
      state_.for_each(EventTime{0}, g, [&](const std::uint64_t&, std::uint64_t, const Totals& t) {
        total += t.count;
        ++keys;
      });
    }
    std::printf("%" PRIu64 " keys, sum %" PRId64 ", expected %" PRIu64 "\n", keys, total, updates_);
    return keys == num_keys_ && total == static_cast<std::int64_t>(updates_);
  }

 private:
  void update(const std::vector<std::uint64_t>& numbers) {
    refs_.resize(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) refs_[i] = {&numbers[i], key_hash(numbers[i])};
    const auto add = [&](std::size_t i, Totals& t) { t.add(refs_[i].hash); };
    if (merges_) {
      state_.accumulate(EventTime{0}, refs_, add);
    } else {
      state_.update(EventTime{0}, refs_, add);
    }
    updates_ += numbers.size();
  }

  void begin_checkpoint() {
    last_checkpoint_ = SteadyClock::now();
    part().freeze(++id_);
    is_draining_ = true;
    step_checkpoint(true);
  }
  // A piece of the running checkpoint between two batches, as the task does it.
  void step_checkpoint(bool waits) {
    if (is_draining_) {
      do {
        is_draining_ = !part().drain(ignored_, 1000);
      } while (waits && is_draining_);
      if (is_draining_) return;
      checkpoint_ =
          std::async(std::launch::async, [this, id = id_] { return subtask_.snapshot(id); });
    }
    if (checkpoint_.valid()) {
      if (!waits && checkpoint_.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
        return;
      const Taken taken = checkpoint_.get();
      stored_ = stored_bytes(taken);
      ++num_checkpoints_;
      if (!former_.empty()) fs::remove_all(former_);
      former_ = taken.folder;
    } else if (SteadyClock::now() - last_checkpoint_ > kInterval) {
      begin_checkpoint();
    }
  }
  Snapshotable& part() { return *subtask_.context().snapshotables().front(); }

  const bool merges_;
  const std::uint64_t num_keys_;
  BenchSubtask subtask_;
  WindowedValue<std::uint64_t, Totals> state_;
  const std::vector<std::uint32_t> drawn_;
  std::vector<KeyRef<std::uint64_t>> refs_;
  std::size_t next_ = 0;
  std::uint64_t updates_ = 0;
  CheckpointId id_ = 0;
  int num_checkpoints_ = 0;
  bool is_draining_ = false;
  StageSnapshot ignored_;
  std::future<Taken> checkpoint_;
  SteadyClock::time_point last_checkpoint_;
  fs::path former_;
  std::size_t stored_ = 0;
};

}  // namespace
}  // namespace tidemill

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  const std::string_view keys = argc > 2 ? argv[2] : "";
  if ((mode != "merge" && mode != "read") || (keys != "uniform" && keys != "zipf")) {
    std::fprintf(stderr, "beyond_memory merge|read uniform|zipf [UPDATES] [MEMORY_MIB] [TIMES]\n");
    return 2;
  }
  const auto number = [&](int at, std::uint64_t otherwise) {
    return argc > at ? std::strtoull(argv[at], nullptr, 10) : otherwise;
  };
  tidemill::Run run(mode == "merge", keys, number(4, 256) * tidemill::kMiB, number(5, 4));
  std::printf("%" PRIu64 " keys\n", run.num_keys());
  run.fill();
  run.run(number(3, 100'000'000));
  if (run.is_sum_right()) return 0;
  std::fprintf(stderr, "the sum differs\n");
  return 1;
}
