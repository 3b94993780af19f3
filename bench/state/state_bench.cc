// Kernels of keyed state. Every run checks its result: the sum over all values must be the number
// of updates that were made.
#include <benchmark/benchmark.h>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "bench/cpu_time.h"
#include "bench/state/subtask.h"
#include "state/keyed_value.h"
#include "state/timers.h"
#include "state/windowed_value.h"

namespace tidemill {
namespace {

constexpr std::size_t kBatch = 1024;

std::uint64_t make_key(std::uint64_t n, std::uint64_t*) { return n; }
// 24 characters, as of a user id.
std::string make_key(std::uint64_t n, std::string*) {
  char text[32];
  std::snprintf(text, sizeof text, "user-%019llu", static_cast<unsigned long long>(n));
  return text;
}

template <class K>
std::vector<K> make_keys(std::size_t n) {
  std::vector<K> keys;
  keys.reserve(n);
  for (std::size_t i = 0; i < n; ++i) keys.push_back(make_key(i * 7919, static_cast<K*>(nullptr)));
  return keys;
}

// A batch as an operator gets it: keys and their hashes, which came with the exchange.
template <class K>
class Batches {
 public:
  Batches(const std::vector<K>& keys, std::size_t count) : random_(1) {
    for (std::size_t b = 0; b < count; ++b) {
      auto& batch = batches_.emplace_back();
      for (std::size_t i = 0; i < kBatch; ++i) {
        values_.push_back(keys[random_() % keys.size()]);
      }
      batch.resize(kBatch);
    }
    for (std::size_t i = 0; i < values_.size(); ++i)
      batches_[i / kBatch][i % kBatch] = {&values_[i], key_hash(values_[i])};
  }
  const std::vector<KeyRef<K>>& next() { return batches_[at_++ % batches_.size()]; }

 private:
  std::mt19937_64 random_;
  std::vector<K> values_;
  std::vector<std::vector<KeyRef<K>>> batches_;
  std::size_t at_ = 0;
};

// As trailing windows and operators of one's own do.
template <class K>
void update(KeyedValue<K, Totals>& state, const std::vector<KeyRef<K>>& batch) {
  state.prefetch(batch);
  for (const KeyRef<K>& k : batch) state.at(*k.key, k.hash).add(k.hash);
}
// As tumbling and sliding windows do.
template <class K>
void update(WindowedValue<K, Totals>& state, const std::vector<KeyRef<K>>& batch) {
  state.update(EventTime{0}, batch, [&](std::size_t i, Totals& t) { t.add(batch[i].hash); });
}

template <class K>
void fill(KeyedValue<K, Totals>& state, const std::vector<K>& keys) {
  for (const K& k : keys) state.at(k, key_hash(k));
}
template <class K>
void fill(WindowedValue<K, Totals>& state, const std::vector<K>& keys) {
  for (const K& k : keys) state.at(EventTime{0}, k, key_hash(k));
}

template <class K, class F>
void for_each(KeyedValue<K, Totals>& state, KeyGroup group, F&& fn) {
  state.for_each_in_group(group, fn);
}
template <class K, class F>
void for_each(WindowedValue<K, Totals>& state, KeyGroup group, F&& fn) {
  state.for_each(EventTime{0}, group, fn);
}

template <template <class, class> class State, class K>
void check_sum(benchmark::State& bench, State<K, Totals>& state, std::uint64_t updates) {
  std::int64_t total = 0;
  for (KeyGroup g = 0; g < kDefaultKeyGroups; ++g) {
    for_each(state, g, [&](const K&, std::uint64_t, const Totals& t) { total += t.count; });
  }
  if (total != static_cast<std::int64_t>(updates)) bench.SkipWithError("checksum differs");
}

// A batch that has just been made, as an operator gets it: its keys are in the cache.
template <class K>
class HotBatch {
 public:
  const std::vector<KeyRef<K>>& copy(const std::vector<KeyRef<K>>& batch) {
    keys_.resize(batch.size());
    refs_.resize(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      keys_[i] = *batch[i].key;
      refs_[i] = {&keys_[i], batch[i].hash};
    }
    return refs_;
  }

 private:
  std::vector<K> keys_;
  std::vector<KeyRef<K>> refs_;
};

// ns of CPU per keyed update, uniform keys, everything in memory.
template <template <class, class> class State, class K>
void BM_Update(benchmark::State& bench) {
  BenchSubtask setup;
  State<K, Totals> state(setup.context(), "totals");
  const auto keys = make_keys<K>(static_cast<std::size_t>(bench.range(0)));
  fill(state, keys);
  Batches<K> batches(keys, 2000);
  HotBatch<K> hot;
  std::uint64_t updates = 0;
  for (auto _ : bench) {
    const auto& batch = hot.copy(batches.next());
    const double start = thread_cpu_seconds();
    update(state, batch);
    bench.SetIterationTime(thread_cpu_seconds() - start);
    updates += kBatch;
  }
  bench.SetItemsProcessed(static_cast<std::int64_t>(updates));
  bench.counters["ns_per_update"] =
      benchmark::Counter(static_cast<double>(updates) / 1e9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  check_sum(bench, state, updates);
}
void numbers_of_keys(benchmark::internal::Benchmark* bench) {
  for (const int n : {10'000, 100'000, 1'000'000, 10'000'000}) bench->Arg(n);
  bench->Unit(benchmark::kMicrosecond)->UseManualTime();
}
BENCHMARK(BM_Update<WindowedValue, std::uint64_t>)->Apply(numbers_of_keys);
BENCHMARK(BM_Update<WindowedValue, std::string>)->Apply(numbers_of_keys);
BENCHMARK(BM_Update<KeyedValue, std::uint64_t>)->Apply(numbers_of_keys);
BENCHMARK(BM_Update<KeyedValue, std::string>)->Apply(numbers_of_keys);

// ns per timer, set and fired: as many live ones as the argument says, spread over 5 minutes or 24
// hours. Each that fires is set again, by another key, one span later.
void BM_Timers(benchmark::State& bench) {
  BenchSubtask setup;
  Timers<std::uint64_t> timers(setup.context(), "timers");
  const auto num_live = static_cast<std::uint64_t>(bench.range(0));
  const std::int64_t span = bench.range(1) * 1000;
  std::mt19937_64 random(5);
  const auto set = [&](std::int64_t now) {
    const std::uint64_t key = random();
    timers.set(
        EventTime{now + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(span)) + 1},
        key, key_hash(key));
  };
  std::int64_t now = 0;
  std::uint64_t num_fired = 0;
  std::uint64_t num_set = 0;
  const auto fire = [&](EventTime until) {
    std::uint64_t fired = 0;
    for (KeyGroup g = 0; g < kDefaultKeyGroups; ++g) {
      while (timers.fire_due(g, until, 2048,
                             [&](EventTime, const std::uint64_t&, std::uint64_t, std::uint64_t) {
                               ++fired;
                             }) == Progress::kMore) {
      }
    }
    num_fired += fired;
    return fired;
  };
  fire(EventTime{0});
  for (auto _ : bench) {
    for (; num_set < num_live; ++num_set) set(now);
    for (std::uint64_t n = 0; n < num_live;) {
      now += span / 3000;
      const std::uint64_t fired = fire(EventTime{now});
      for (std::uint64_t i = 0; i < fired; ++i) set(now);
      num_set += fired;
      n += fired;
    }
    fire(EventTime{now += span + 1});
    if (num_fired != num_set) bench.SkipWithError("checksum differs");
  }
  bench.counters["ns_per_timer"] =
      benchmark::Counter(static_cast<double>(num_fired) / 1e9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_Timers)
    ->Args({10'000, 300})
    ->Args({1'000'000, 300})
    ->Args({10'000'000, 300})
    ->Args({10'000'000, 86'400})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

// What of `now` no former checkpoint has.
std::uint64_t new_bytes(const std::vector<StoredFile>& now, const std::vector<StoredFile>& former) {
  std::uint64_t total = 0;
  for (const StoredFile& file : now) {
    const auto same = [&](const StoredFile& f) { return f.name == file.name; };
    if (std::none_of(former.begin(), former.end(), same)) total += file.size;
  }
  return total;
}

// A checkpoint of so many keys, of which a share in thousandths is dirty, with updates going on:
// the longest time that the task stands still for it (the barrier, or one step of copying out), and
// the bytes that it adds to the former one.
void BM_Checkpoint(benchmark::State& bench) {
  using Clock = std::chrono::steady_clock;
  BenchSubtask setup("rocksdb", std::size_t{16} << 30);
  KeyedValue<std::uint64_t, Totals> state(setup.context(), "totals");
  const auto keys = make_keys<std::uint64_t>(static_cast<std::size_t>(bench.range(0)));
  fill(state, keys);
  Batches<std::uint64_t> batches(keys, 2000);
  std::uint64_t updates = 0;
  Snapshotable& part = *setup.context().snapshotables().front();
  CheckpointId id = 0;
  double worst_us = 0;
  double sum_us = 0;
  double snapshot_ms = 0;
  std::uint64_t bytes = 0;
  std::vector<StoredFile> former;
  StageSnapshot ignored;
  double worst_cpu_us = 0;  // without what other processes take
  const auto timed = [&](auto&& work) {
    const double cpu_start = thread_cpu_seconds();
    const auto start = Clock::now();
    const auto result = work();
    worst_cpu_us = std::max(worst_cpu_us, (thread_cpu_seconds() - cpu_start) * 1e6);
    const double us = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
    worst_us = std::max(worst_us, us);
    sum_us += us;
    return result;
  };
  const auto checkpoint = [&](bool has_updates) {
    ++id;
    timed([&] {
      part.freeze(id);
      return 0;
    });
    while (!timed([&] { return part.drain(ignored, 1000); })) {
      if (!has_updates) continue;
      update(state, batches.next());
      updates += kBatch;
    }
    const auto start = Clock::now();
    const Taken taken = setup.snapshot(id);
    snapshot_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    bytes = new_bytes(taken.files, former);
    former = taken.files;
  };
  const auto dirty = static_cast<std::size_t>(bench.range(1));
  if (dirty < 1000) checkpoint(false);  // which leaves nothing dirty
  for (auto _ : bench) {
    if (dirty < 1000) {
      bench.PauseTiming();
      for (std::size_t i = 0; i < keys.size() * dirty / 1000; ++i) {
        ++state.at(keys[i * 37 % keys.size()], key_hash(keys[i * 37 % keys.size()])).count;
        ++updates;
      }
      worst_us = worst_cpu_us = sum_us = 0;
      bench.ResumeTiming();
    }
    checkpoint(true);
  }
  bench.counters["longest_stall_us"] = worst_us;
  bench.counters["longest_stall_cpu_us"] = worst_cpu_us;
  bench.counters["all_stalls_ms"] = sum_us / 1000;
  bench.counters["snapshot_ms"] = snapshot_ms;
  bench.counters["new_bytes"] = static_cast<double>(bytes);
  check_sum(bench, state, updates);
}
BENCHMARK(BM_Checkpoint)
    ->ArgsProduct({{10'000, 1'000'000, 10'000'000}, {1, 10, 100, 1000}})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

// From the barrier to the link, with nothing between.
Taken checkpoint(BenchSubtask& subtask, CheckpointId id) {
  Snapshotable& part = *subtask.context().snapshotables().front();
  StageSnapshot ignored;
  part.freeze(id);
  while (!part.drain(ignored, 1000)) {
  }
  return subtask.snapshot(id);
}

// CPU of the whole process per distinct dirty entry and checkpoint, compaction included: twenty
// checkpoints of so many keys, of which each makes a share in thousandths dirty, in other places
// each time. The changes themselves are not counted.
void BM_DirtyEntry(benchmark::State& bench) {
  constexpr std::size_t kCheckpoints = 20;
  BenchSubtask setup("rocksdb", std::size_t{16} << 30);
  KeyedValue<std::uint64_t, Totals> state(setup.context(), "totals");
  const auto keys = make_keys<std::uint64_t>(static_cast<std::size_t>(bench.range(0)));
  fill(state, keys);
  const std::size_t dirty = keys.size() * static_cast<std::size_t>(bench.range(1)) / 1000;
  std::size_t next = 0;
  CheckpointId id = 0;
  double changes_s = 0;
  checkpoint(setup, ++id);  // all of them, for the first time
  for (auto _ : bench) {
    const double start = process_cpu_seconds();
    for (std::size_t c = 0; c < kCheckpoints; ++c) {
      const double before = thread_cpu_seconds();
      for (std::size_t i = 0; i < dirty; ++i, ++next) {
        const std::uint64_t key = keys[next * 37 % keys.size()];
        ++state.at(key, key_hash(key)).count;
      }
      changes_s += thread_cpu_seconds() - before;
      checkpoint(setup, ++id);
    }
    const double spent = process_cpu_seconds() - start - changes_s;
    bench.counters["cpu_ns_an_entry"] = spent * 1e9 / static_cast<double>(kCheckpoints * dirty);
  }
  check_sum(bench, state, next);
}
BENCHMARK(BM_DirtyEntry)
    ->ArgsProduct({{1'000'000}, {10, 100, 1000}})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

// From a checkpoint of so many keys to the first batch of them updated, with 256 MiB: files are
// verified and linked, the database is opened, the batch is loaded.
void BM_Restore(benchmark::State& bench) {
  BenchSubtask setup("rocksdb", std::size_t{16} << 30);
  KeyedValue<std::uint64_t, Totals> state(setup.context(), "totals");
  const auto keys = make_keys<std::uint64_t>(static_cast<std::size_t>(bench.range(0)));
  for (const std::uint64_t k : keys) state.at(k, key_hash(k)).add(key_hash(k));
  const Taken taken = checkpoint(setup, 1);
  Batches<std::uint64_t> batches(keys, 1);
  for (auto _ : bench) {
    BenchSubtask restored("rocksdb", std::size_t{256} << 20, taken);
    KeyedValue<std::uint64_t, Totals> again(restored.context(), "totals");
    update(again, batches.next());
    bench.PauseTiming();
    check_sum(bench, again, keys.size() + kBatch);
    bench.ResumeTiming();
  }
}
BENCHMARK(BM_Restore)
    ->Arg(10'000)
    ->Arg(1'000'000)
    ->Arg(10'000'000)
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tidemill

BENCHMARK_MAIN();
