// Random operations on timers against a plain set: interrupted firings whose callbacks set and
// erase timers, barriers with slow drains, restarts with another parallelism, and budgets so small
// that nearly everything lives in the backend.
#include "state/timers.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "tests/state/attempt.h"
#include "tests/state/seeds.h"

namespace tidemill {
namespace {

struct Setting {
  const char* backend;
  std::size_t memory;  // 0: no limit
  std::uint32_t groups;
  Duration span;         // how far ahead timers are set
  Duration granularity;  // of their times
  bool always_restarts;  // between every two steps
  std::uint64_t seeds;
};

struct Op {
  explicit Op(OperatorContext& ctx) : timers(ctx, "timers", 0) {}
  Timers<std::string> timers;
};
using TimersRun = testing::Attempt<Op>;

// What should be set, by group; (time, key, tag).
using Timer = std::tuple<EventTime, std::string, std::uint64_t>;
struct Model {
  std::map<KeyGroup, std::set<Timer>> timers;
  EventTime now{1'000'000};
};

class TimersModel : public ::testing::TestWithParam<Setting> {
 protected:
  std::unique_ptr<TimersRun> start(int parallelism, const testing::TakenCheckpoint* from) {
    const Setting& s = GetParam();
    return std::make_unique<TimersRun>(make_backend(s.backend, {.dir = folder_.path() / "work",
                                                                .memory = s.memory,
                                                                .limit_memory_backend = true}),
                                       parallelism, s.groups, from);
  }
  [[nodiscard]] KeyGroup group_of(const std::string& key) const {
    return key_group_of(key_hash(key), GetParam().groups);
  }
  std::string key() {
    // Some keys have most of the timers.
    const std::uint64_t n = random_() % 4 == 0 ? random_() % 5 : random_() % 400;
    return "key-" + std::to_string(n) + (n % 9 == 0 ? std::string(40, 'x') : "");
  }
  EventTime time(EventTime now) {
    const Setting& s = GetParam();
    const auto span = static_cast<std::uint64_t>(s.span.count());
    // Mostly ahead, at all distances; sometimes due already.
    auto distance = static_cast<std::int64_t>(random_() % ((span >> (random_() % 12)) + 1));
    if (random_() % 16 == 0) distance = -distance;
    return floor_to(now + Duration(distance), s.granularity);
  }

  void set(TimersRun& run, Model& model, const std::string& k, EventTime at, std::uint64_t tag) {
    run.op_of(key_hash(k)).timers.set(at, k, key_hash(k), tag);
    model.timers[group_of(k)].insert({at, k, tag});
  }
  void erase(TimersRun& run, Model& model, const std::string& k, EventTime at, std::uint64_t tag) {
    run.op_of(key_hash(k)).timers.erase(at, k, key_hash(k), tag);
    model.timers[group_of(k)].erase({at, k, tag});
  }
  void change(TimersRun& run, Model& model) {
    if (random_() % 4 != 0) {
      set(run, model, key(), time(model.now), random_() % 2);
      return;
    }
    const std::string k = key();
    const std::set<Timer>& timers = model.timers[group_of(k)];
    if (timers.empty() || random_() % 8 == 0) {
      erase(run, model, k, time(model.now), 0);  // most probably there is none
      return;
    }
    auto it = timers.begin();
    std::advance(it, random_() % std::min<std::size_t>(timers.size(), 20));
    const auto [at, name, tag] = *it;
    erase(run, model, name, at, tag);
    if (random_() % 3 == 0) set(run, model, name, at, tag);
  }

  // Fires all groups up to `until`, in pieces; may stop midway. True when nothing is left.
  bool fire(TimersRun& run, Model& model, EventTime until) {
    for (std::size_t s = 0; s < run.size(); ++s) {
      const KeyGroupRange own = run.groups_of(s);
      for (KeyGroup g = own.begin; g < own.end; ++g) {
        while (!fire_group(run, model, run.op(s), g, until)) {
          if (random_() % 4 == 0) return false;
        }
      }
    }
    return true;
  }
  bool fire_group(TimersRun& run, Model& model, Op& op, KeyGroup g, EventTime until) {
    const std::size_t budget = 1 + random_() % 30;
    if (random_() % 2 == 0) {
      op.timers.for_each_due(g, until, budget, [](const std::string& k, std::uint64_t hash) {
        ASSERT_EQ(hash, key_hash(k));
      });
    }
    std::size_t fired = 0;
    const Progress progress = op.timers.fire_due(
        g, until, budget,
        [&](EventTime at, const std::string& k, std::uint64_t hash, std::uint64_t tag) {
          ++fired;
          std::set<Timer>& expected = model.timers[g];
          ASSERT_FALSE(expected.empty()) << at.ms << ' ' << k;
          ASSERT_EQ(Timer(at, k, tag), *expected.begin());
          ASSERT_LT(at, until);
          ASSERT_EQ(hash, key_hash(k));
          expected.erase(expected.begin());
          // Itself again at once, others at about the same time, or earlier or later ones.
          if (random_() % 8 == 0) set(run, model, k, at, tag == 0 && random_() % 2 == 0 ? 0 : 7);
          if (random_() % 4 == 0) set(run, model, key(), at + Duration(random_() % 2), 0);
          if (random_() % 4 == 0) change(run, model);
        });
    EXPECT_LE(fired, budget);
    const std::set<Timer>& left = model.timers[g];
    const bool is_done = left.empty() || std::get<0>(*left.begin()) >= until;
    // It may stop to read a bucket piece by piece; but it must get somewhere.
    EXPECT_TRUE(is_done || progress == Progress::kMore);
    num_idle_ = fired == 0 && progress == Progress::kMore ? num_idle_ + 1 : 0;
    EXPECT_LT(num_idle_, 100);
    return HasFailure() || progress == Progress::kDone;
  }

  void check_next(TimersRun& run, const Model& model) {
    for (std::size_t s = 0; s < run.size(); ++s) {
      const KeyGroupRange own = run.groups_of(s);
      for (KeyGroup g = own.begin; g < own.end; ++g) {
        const auto it = model.timers.find(g);
        const bool is_empty = it == model.timers.end() || it->second.empty();
        ASSERT_EQ(run.op(s).timers.next_due(g),
                  is_empty ? EventTime::max() : std::get<0>(*it->second.begin()));
      }
    }
  }

  void step(TimersRun& run, Model& model) {
    switch (random_() % 4) {
      case 0: {
        const auto span = static_cast<std::uint64_t>(GetParam().span.count());
        model.now = model.now + Duration(random_() % ((span >> (random_() % 12)) + 1));
        fire(run, model, model.now);
        break;
      }
      case 1: check_next(run, model); break;
      default:
        for (std::size_t n = random_() % 100; n > 0; --n) change(run, model);
    }
  }

  void run_seed(std::uint64_t seed) {
    random_.seed(seed);
    Model model;
    Model committed;
    testing::TakenCheckpoint taken;
    CheckpointId id = 1;
    std::unique_ptr<TimersRun> run = start(2, nullptr);
    for (int i = 0; i < 120 && !HasFailure(); ++i) {
      SCOPED_TRACE("step " + std::to_string(i));
      if (GetParam().always_restarts || random_() % 5 == 0) {
        for (std::size_t s = 0; s < run->size(); ++s) run->freeze(s, id);
        Model frozen = model;
        for (bool is_drained = false; !is_drained;) {
          is_drained = true;
          for (std::size_t s = 0; s < run->size(); ++s)
            is_drained &= run->drain(s, 1 + random_() % 40);
          if (random_() % 4 == 0) step(*run, model);
        }
        taken = run->finish(id++, folder_.path() / std::to_string(next_folder_++));
        committed = std::move(frozen);
        if (GetParam().always_restarts || random_() % 2 == 0) {
          run.reset();
          run = start(1 + static_cast<int>(random_() % 4), &taken);
          model = committed;
        }
      }
      step(*run, model);
    }
    // What fires last may set timers of groups that were done.
    const auto is_any_left = [&] {
      return std::ranges::any_of(model.timers, [](const auto& g) { return !g.second.empty(); });
    };
    while (is_any_left() && !HasFailure()) fire(*run, model, EventTime::max());
    check_next(*run, model);
  }

  testing::TemporaryFolder folder_;
  std::mt19937_64 random_;
  int next_folder_ = 0;
  int num_idle_ = 0;  // firings in a row that fired nothing and were not done
};

TEST_P(TimersModel, AgreesWithAPlainSet) {
  for_each_seed(GetParam().seeds, [this](std::uint64_t seed) { run_seed(seed); });
}

INSTANTIATE_TEST_SUITE_P(Settings, TimersModel,
                         ::testing::Values(Setting{"memory", 0, 8, 5min, 1ms, false, 6},
                                           Setting{"memory", 0, 3, 24h, 24min, false, 6},
                                           Setting{"memory", 0, 1, 200ms, 1ms, false, 6},
                                           Setting{"memory", 4096, 5, 24h, 1ms, false, 6},
                                           Setting{"memory", 4096, 7, 1h, 1s, true, 1},
                                           Setting{"rocksdb", 16384, 3, 24h, 1min, false, 1},
                                           Setting{"rocksdb", 60000, 8, 5s, 1ms, true, 1}),
                         [](const auto& test) {
                           return test.param.backend + std::to_string(test.param.memory) + "_" +
                                  std::to_string(test.param.span.count()) + "ms";
                         });

// A bucket that is far when it is filled holds more than may be in memory when it has come.
TEST(Timers, SplitsABucketThatIsTooWide) {
  const testing::TemporaryFolder folder;
  testing::TakenCheckpoint taken;
  std::multiset<EventTime> expected;
  std::multiset<EventTime> fired;
  EventTime now{0};
  const auto fire = [&](testing::Attempt<Op>& run, EventTime until) {
    now = until;
    for (KeyGroup g = 0; g < 4; ++g) {
      EventTime last = EventTime::min();
      while (run.op(0).timers.fire_due(
                 g, until, 100, [&](EventTime t, const std::string&, std::uint64_t, std::uint64_t) {
                   EXPECT_GE(t, last);
                   last = t;
                   fired.insert(t);
                 }) == Progress::kMore) {
      }
    }
  };
  const auto backend = [&] {
    return make_backend("memory", {.dir = folder.path(), .memory = 1 << 16});
  };
  {
    testing::Attempt<Op> run(backend(), 1, 4, nullptr);
    fire(run, EventTime{1});
    for (int i = 0; i < 20'000; ++i) {
      const std::string key = std::to_string(i);
      const EventTime t{86'400'000 + i * 100};
      run.op(0).timers.set(t, key, key_hash(key));
      expected.insert(t);
    }
    fire(run, EventTime{86'500'000});
    EXPECT_EQ(fired.size(), 1000U);
    taken = run.checkpoint(1, folder.path() / "1");
  }
  testing::Attempt<Op> run(backend(), 1, 4, &taken);
  for (std::int64_t t = 86'500'000; t < 90'000'000; t += 50'000) fire(run, EventTime{t});
  EXPECT_EQ(fired, expected);
}

TEST(Timers, NamesTheKeysThatFireNext) {
  const testing::TemporaryFolder folder;
  testing::Attempt<Op> run(make_backend("memory", {.dir = folder.path()}), 1, 1, nullptr);
  Timers<std::string>& timers = run.op(0).timers;
  const auto next = [&](EventTime until, std::size_t most) {
    std::vector<std::string> keys;
    timers.for_each_due(0, until, most,
                        [&](const std::string& k, std::uint64_t) { keys.push_back(k); });
    return keys;
  };
  for (int i = 99; i >= 0; --i) {
    const std::string key = std::to_string(i);
    timers.set(EventTime{1'000'000 + i * 1'000}, key, key_hash(key), 0);
  }
  EXPECT_EQ(next(EventTime{1'010'000}, 3), (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(next(EventTime{1'010'000}, 100).size(), 10U);
  EXPECT_GE(next(EventTime{2'000'000}, 1000).size(), 50U);  // some are not read yet
  EXPECT_TRUE(next(EventTime{1'000'000}, 1000).empty());
}

// What has begun is in memory once more, beside the table: that counts too.
TEST(Timers, ChargesWhatIsNear) {
  const testing::TemporaryFolder folder;
  auto owned = make_backend("memory", {.dir = folder.path()});
  const MemoryBudget& budget = owned->budget();
  testing::Attempt<Op> run(std::move(owned), 1, 1, nullptr);
  const std::string key(100, 'k');  // not in place
  const std::uint64_t hash = key_hash(key);
  Timers<std::string>& timers = run.op(0).timers;
  const auto fire = [&](EventTime until) {
    std::size_t fired = 0;
    while (timers.fire_due(0, until, 10'000,
                           [&](EventTime, const std::string&, std::uint64_t, std::uint64_t) {
                             ++fired;
                           }) == Progress::kMore) {
    }
    return fired;
  };
  for (std::uint64_t tag = 0; tag < 4000; ++tag) timers.set(EventTime{1'000'010}, key, hash, tag);
  EXPECT_EQ(fire(EventTime{1'000'010}), 0U);  // opens their bucket
  EXPECT_EQ(fire(EventTime{1'000'010}), 0U);  // and has charged that
  const std::size_t before = budget.used();
  EXPECT_EQ(fire(EventTime{1'000'011}), 4000U);
  EXPECT_EQ(fire(EventTime{1'000'012}), 0U);
  // The bucket has not passed, so the table still holds them all.
  EXPECT_GT(before, budget.used() + 4000 * key.size());
}

}  // namespace
}  // namespace tidemill
