// Every kind of state comes back from a checkpoint as it was, also with another parallelism.
#include <gtest/gtest.h>

#include <boost/describe.hpp>

#include "state/keyed_list.h"
#include "state/keyed_table.h"
#include "state/keyed_value.h"
#include "state/operator_state.h"
#include "state/timers.h"
#include "state/windowed_value.h"
#include "tests/state/attempt.h"

namespace tidemill {
namespace {

struct Seen {
  std::string country;
  EventTime at{};
  std::int64_t times = 0;
  friend bool operator==(const Seen&, const Seen&) = default;
};
BOOST_DESCRIBE_STRUCT(Seen, (), (country, at, times))

struct Everything {
  explicit Everything(OperatorContext& ctx)
      : seen(ctx, "seen"),
        panes(ctx, "panes"),
        rows(ctx, "rows"),
        list(ctx, "list"),
        timers(ctx, "timers"),
        total(ctx, "total"),
        clocks(ctx, "clocks") {}
  KeyedValue<std::string, Seen> seen;
  WindowedValue<std::uint64_t, std::int64_t> panes;
  KeyedTable<std::string, EventTime, std::string> rows;
  KeyedList<std::int32_t, std::string> list;
  Timers<std::string> timers;
  OperatorState<std::int64_t> total;
  KeyGroupClocks clocks;
};

using Run1 = testing::Attempt<Everything>;

class Roundtrip : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Backend> backend() {
    const auto dir = folder_.path() / ("work" + std::to_string(next_dir_++));
    return make_backend(GetParam(), {.dir = dir, .memory = std::size_t{64} << 20});
  }
  testing::TemporaryFolder folder_;
  int next_dir_ = 0;
};

TEST_P(Roundtrip, RestoresEveryKindOfStateWithAnyParallelism) {
  testing::TakenCheckpoint taken;
  {
    Run1 run(backend(), 2, 16, nullptr);
    for (int i = 0; i < 500; ++i) {
      const std::string user = "user" + std::to_string(i);
      const std::uint64_t hash = key_hash(user);
      Everything& op = run.op_of(hash);
      op.seen.at(user, hash) = {"SE", EventTime{i}, i};
      op.rows.put(user, hash, EventTime{i % 3}, user);
      op.rows.put(user, hash, EventTime{-5}, "early");
      op.timers.set(EventTime{i / 10}, user, hash);
      const auto id = static_cast<std::uint64_t>(i);
      run.op_of(key_hash(id)).panes.at(EventTime{1000 * (i % 4)}, id, key_hash(id)) += i;
      run.op_of(key_hash(i)).list.append(i, key_hash(i), "a");
      run.op_of(key_hash(i)).list.append(i, key_hash(i), "b");
    }
    for (std::size_t s = 0; s < 2; ++s) {
      *run.op(s).total = 10 + static_cast<std::int64_t>(s);
      const KeyGroupRange own = run.groups_of(s);
      for (KeyGroup g = own.begin; g < own.end; ++g)
        run.op(s).clocks[g] = EventTime{static_cast<std::int64_t>(g) / 3};
      run.op(s).panes.drop(EventTime{2000});
    }
    run.checkpoint(0, folder_.path() / "0");
    run.op_of(key_hash("user7")).seen.erase("user7");
    taken = run.checkpoint(1, folder_.path() / "1");
  }
  for (const int parallelism : {1, 2, 5}) {
    SCOPED_TRACE(parallelism);
    Run1 run(backend(), parallelism, 16, &taken);
    std::size_t fired = 0;
    for (int i = 0; i < 500; ++i) {
      const std::string user = "user" + std::to_string(i);
      const std::uint64_t hash = key_hash(user);
      Everything& op = run.op_of(hash);
      const Seen* seen = op.seen.find(user, hash);
      if (i == 7) {
        EXPECT_EQ(seen, nullptr);
      } else {
        ASSERT_NE(seen, nullptr);
        EXPECT_EQ(*seen, (Seen{"SE", EventTime{i}, i}));
      }
      std::vector<std::string> fields;
      op.rows.scan(user, hash, EventTime{-10}, std::nullopt, [&](EventTime, const std::string& v) {
        fields.push_back(v);
        return true;
      });
      EXPECT_EQ(fields, (std::vector<std::string>{"early", user}));
      const auto id = static_cast<std::uint64_t>(i);
      const auto* pane =
          run.op_of(key_hash(id)).panes.find(EventTime{1000 * (i % 4)}, id, key_hash(id));
      EXPECT_EQ(pane == nullptr, i % 4 == 2);
      if (pane != nullptr) {
        EXPECT_EQ(*pane, i);
      }
      EXPECT_EQ(run.op_of(key_hash(i)).list.drain(i, key_hash(i)),
                (std::vector<std::string>{"a", "b"}));
    }
    for (std::size_t s = 0; s < run.size(); ++s) {
      Everything& op = run.op(s);
      EXPECT_EQ(op.panes.namespaces(), (std::vector<EventTime>{{0}, {1000}, {3000}}));
      EXPECT_EQ(op.total.restored(), (std::vector<std::int64_t>{10, 11}));
      const KeyGroupRange own = run.groups_of(s);
      for (KeyGroup g = own.begin; g < own.end; ++g) {
        EXPECT_EQ(op.clocks[g], EventTime{static_cast<std::int64_t>(g) / 3});
        EventTime last = EventTime::min();
        while (op.timers.fire_due(
                   g, EventTime{20}, 3,
                   [&](EventTime t, const std::string&, std::uint64_t hash, std::uint64_t) {
                     EXPECT_EQ(key_group_of(hash, 16), g);
                     EXPECT_GE(t, last);
                     last = t;
                     ++fired;
                   }) == Progress::kMore) {
        }
        EXPECT_GE(op.timers.next_due(g), EventTime{20});
      }
    }
    EXPECT_EQ(fired, 200U);
  }
}

// A record that comes late makes a pane anew whose group is gone, and the group goes again: while
// the backend knows of the first time only, what it has of the pane must not be seen.
TEST_P(Roundtrip, AGroupThatIsDroppedTwiceStaysDropped) {
  const EventTime ns{1000};
  const std::uint64_t key = 7;
  const std::uint64_t hash = key_hash(key);
  const KeyGroup group = key_group_of(hash, 16);
  testing::TakenCheckpoint taken;
  {
    Run1 run(backend(), 1, 16, nullptr);
    for (std::uint64_t k = 0; k < 100; ++k) run.op(0).panes.at(ns, k, key_hash(k)) = 1;
    taken = run.checkpoint(0, folder_.path() / "0");
  }
  Run1 run(backend(), 1, 16, &taken);
  auto& panes = run.op(0).panes;
  const KeyRef<std::uint64_t> ref{&key, hash};
  panes.drop(ns, group);
  panes.at(ns, key, hash) = 2;
  run.freeze(0, 1);
  panes.drop(ns, group);
  while (!run.drain(0, 100)) {
  }
  run.finish(1, folder_.path() / "1");
  panes.prefetch(ns, {&ref, 1});
  EXPECT_EQ(panes.find(ns, key, hash), nullptr);
  run.checkpoint(2, folder_.path() / "2");
  panes.prefetch(ns, {&ref, 1});
  EXPECT_EQ(panes.find(ns, key, hash), nullptr);
}

// Without checkpoints a spill is all that tells the backend of what is erased.
TEST_P(Roundtrip, KeepsNoTraceOfWhatIsErasedBetweenCheckpoints) {
  constexpr std::size_t kMemory = std::size_t{1} << 20;
  auto owned = make_backend(
      GetParam(), {.dir = folder_.path(), .memory = kMemory, .limit_memory_backend = true});
  const MemoryBudget& budget = owned->budget();
  testing::Attempt<Everything> run(std::move(owned), 1, 16, nullptr);
  auto& seen = run.op(0).seen;
  std::size_t most = 0;
  const auto for_each_key = [&](auto&& fn) {
    for (int i = 0; i < 60'000; ++i) {
      const std::string key = std::to_string(i);
      const std::uint64_t hash = key_hash(key);
      const KeyRef<std::string> ref{&key, hash};
      fn(key, hash);
      if (i % 16 == 0) seen.prefetch({&ref, 1});
      most = std::max(most, budget.used());
    }
  };
  for_each_key([&](const std::string& key, std::uint64_t hash) { seen.at(key, hash).times = 1; });
  for_each_key(
      [&](const std::string& key, std::uint64_t hash) { EXPECT_TRUE(seen.erase(key, hash)); });
  EXPECT_LT(most, kMemory + kMemory / 4);
}

INSTANTIATE_TEST_SUITE_P(Backends, Roundtrip, ::testing::Values("memory", "rocksdb"));

}  // namespace
}  // namespace tidemill
