// What is remembered of the entries touched last is never in the way: the same values as an ordered
// map has, whatever is erased, dropped, checkpointed and restored between two batches.
#include "state/recent_entries.h"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <vector>

#include "state/windowed_value.h"
#include "tests/state/attempt.h"

namespace tidemill {
namespace {

struct Sum {
  std::int64_t value = 0;
};
BOOST_DESCRIBE_STRUCT(Sum, (), (value))

struct Sums {
  explicit Sums(OperatorContext& ctx) : state(ctx, "sums") {}
  WindowedValue<std::int64_t, Sum> state;
};

using Keys = std::vector<std::int64_t>;
using Content = std::map<std::int64_t, std::int64_t>;

void add_one_each(WindowedValue<std::int64_t, Sum>& state, EventTime ns, const Keys& keys) {
  std::vector<KeyRef<std::int64_t>> refs;
  refs.reserve(keys.size());
  for (const std::int64_t& key : keys) refs.push_back({&key, key_hash(key)});
  state.update(ns, refs, [](std::size_t, Sum& sum) { ++sum.value; });
}

class RecentEntriesTest : public ::testing::TestWithParam<const char*> {};

TEST_P(RecentEntriesTest, ValuesAreThoseOfAMap) {
  const testing::TemporaryFolder folder;
  std::mt19937_64 random(7);
  const auto pick = [&](std::uint64_t n) { return static_cast<std::int64_t>(random() % n); };
  std::map<EventTime, Content> expected;
  std::optional<testing::TakenCheckpoint> taken;
  for (CheckpointId id = 1; id < 6; ++id) {
    testing::Attempt<Sums> attempt(
        make_backend(GetParam(), {.dir = folder.path() / ("work" + std::to_string(id)),
                                  .memory = std::size_t{1} << 20}),
        1, 128, taken ? &*taken : nullptr);
    auto& state = attempt.op(0).state;
    for (int step = 0; step < 600; ++step) {
      const EventTime ns{pick(3) + 1};
      // Few keys that come again, or so many that remembering is left off for a while.
      const std::uint64_t num_keys = (step / 150) % 2 == 0 ? 50 : 100'000;
      Keys keys(1 + static_cast<std::size_t>(pick(200)));
      for (std::int64_t& key : keys) key = pick(num_keys);
      add_one_each(state, ns, keys);
      for (const std::int64_t key : keys) ++expected[ns][key];
      // What the next batch is likely to ask for goes, and its place is taken by others.
      for (int n = 0; n < 20; ++n) {
        const std::int64_t key = pick(50);
        EXPECT_EQ(state.erase(ns, key, key_hash(key)), expected[ns].erase(key) == 1);
      }
      if (pick(20) == 0) {
        state.drop(ns);
        expected.erase(ns);
      }
      if (pick(100) == 0)
        attempt.checkpoint(id * 1000 + static_cast<CheckpointId>(step),
                           folder.path() / (std::to_string(id) + "-" + std::to_string(step)));
    }
    for (const auto& [ns, table] : expected) {
      Content found;
      for (KeyGroup group = 0; group < attempt.groups(); ++group) {
        state.for_each(ns, group, [&](const std::int64_t& key, std::uint64_t, const Sum& sum) {
          found[key] = sum.value;
        });
      }
      EXPECT_EQ(found, table) << ns.ms;
    }
    taken = attempt.checkpoint(id, folder.path() / std::to_string(id));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, RecentEntriesTest, ::testing::Values("memory", "rocksdb"));

TEST_P(RecentEntriesTest, ATableInTheMemoryOfADroppedOneIsAnother) {
  const testing::TemporaryFolder folder;
  testing::Attempt<Sums> attempt(make_backend(GetParam(), {.dir = folder.path()}), 1, 128, nullptr);
  auto& state = attempt.op(0).state;
  for (int round = 1; round < 20; ++round) {
    add_one_each(state, {1}, {1, 2, 3});
    EXPECT_EQ(state.find({1}, 2, key_hash(std::int64_t{2}))->value, 1) << round;
    state.drop({1});
  }
}

TEST(RecentEntriesTest, IsLeftOffWhereNoKeyComesAgainAndTriedNowAndThen) {
  BlockPool pool;
  const Table<std::int64_t, Sum> table(pool);
  RecentEntries<std::int64_t, Sum> recent;
  int tried = 0;
  for (int batch = 0; batch < 10'000; ++batch) {
    if (!recent.begin(table)) continue;
    ++tried;
    recent.end(1024, 1024);
  }
  EXPECT_GT(tried, 20);
  EXPECT_LT(tried, 150);
  while (!recent.begin(table)) {
  }
  for (int batch = 0; batch < 1000; ++batch) {
    ASSERT_TRUE(recent.begin(table)) << "keys come again: it is not left off";
    recent.end(batch == 0 ? 800 : 80, 1024);
  }
}

TEST(RecentEntriesTest, FewNewKeysAreNoReasonToLeaveItOff) {
  BlockPool pool;
  const Table<std::int64_t, Sum> table(pool);
  RecentEntries<std::int64_t, Sum> recent;
  for (int batch = 0; batch < 1000; ++batch) {
    ASSERT_TRUE(recent.begin(table)) << batch;
    recent.end(50, 1000);  // of one input
    ASSERT_TRUE(recent.begin(table)) << batch;
    recent.end(60, 60);  // of the other one
  }
}

}  // namespace
}  // namespace tidemill
