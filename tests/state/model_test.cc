// Random operations on keyed state against plain maps: barriers, slow drains, crashes, restores
// with another parallelism, and budgets so small that nearly everything lives in the backend.
#include <gtest/gtest.h>
#include <map>
#include <random>

#include <boost/describe.hpp>

#include "state/keyed_value.h"
#include "state/windowed_value.h"
#include "tests/state/attempt.h"
#include "tests/state/seeds.h"

namespace tidemill {
namespace {

struct Spend {
  std::int64_t count = 0;
  std::string note;
  friend bool operator==(const Spend&, const Spend&) = default;
};
BOOST_DESCRIBE_STRUCT(Spend, (), (count, note))

// May be stored in parts. In which order they are put together shows.
struct Pane {
  std::int64_t sum = 0;
  std::string added;
  void add(std::int64_t n, char by) {
    sum += n;
    added += by;
  }
  void merge(const Pane& later) {
    sum += later.sum;
    added += later.added;
  }
  friend bool operator==(const Pane&, const Pane&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Pane& pane) {
    return out << pane.sum << " " << pane.added;
  }
};
BOOST_DESCRIBE_STRUCT(Pane, (), (sum, added))

struct Op {
  explicit Op(OperatorContext& ctx)
      : users(ctx, "users"), panes(ctx, "panes"), numbers(ctx, "numbers") {}
  KeyedValue<std::string, Spend> users;
  WindowedValue<std::string, Pane> panes;
  KeyedValue<std::uint32_t, std::uint64_t> numbers;
};

// What the state should be.
struct Model {
  std::map<std::string, Spend> users;
  std::map<EventTime, std::map<std::string, Pane>> panes;
  std::map<std::uint32_t, std::uint64_t> numbers;
};

struct Setting {
  const char* backend;
  std::size_t memory;  // 0: no limit
  std::uint32_t groups;
  std::uint64_t seeds;
};

class StateModel : public ::testing::TestWithParam<Setting> {
 protected:
  std::unique_ptr<Backend> backend() {
    const Setting& s = GetParam();
    return make_backend(
        s.backend,
        {.dir = folder_.path() / "work", .memory = s.memory, .limit_memory_backend = true});
  }

  std::string user() {
    return "user-" + std::to_string(random_() % 200) +
           (random_() % 8 == 0 ? std::string(40, 'x') : "");
  }
  EventTime window() { return EventTime{static_cast<std::int64_t>(random_() % 6) * 1000 - 2000}; }

  // One batch on one subtask's worth of keys at a time, as an operator would.
  void batch(testing::Attempt<Op>& run, Model& model) {
    for (std::size_t s = 0; s < run.size(); ++s) {
      std::vector<std::string> users;
      for (std::size_t i = random_() % 20; i > 0; --i) users.push_back(user());
      std::erase_if(users,
                    [&](const std::string& u) { return &run.op_of(key_hash(u)) != &run.op(s); });
      std::vector<KeyRef<std::string>> refs;
      for (const std::string& u : users) refs.push_back({&u, key_hash(u)});
      const EventTime ns = window();
      Op& op = run.op(s);
      if (random_() % 4 != 0) op.users.prefetch(refs);
      if (random_() % 4 != 0) op.panes.prefetch(ns, refs);
      for (const auto& [key, hash] : refs) {
        change_user(op, model, *key, hash);
        change_pane(op, model, ns, *key, hash);
      }
      if (random_() % 2 == 0) add_to_panes(op, *run.parts_of(s)[1], model, refs);
    }
    for (std::size_t i = random_() % 30; i > 0; --i) {
      const auto n = static_cast<std::uint32_t>(random_() % 500);
      KeyedValue<std::uint32_t, std::uint64_t>& numbers = run.op_of(key_hash(n)).numbers;
      if (random_() % 5 == 0) {
        EXPECT_EQ(numbers.erase(n), model.numbers.erase(n) == 1);
      } else {
        numbers[n] += i;
        model.numbers[n] += i;
      }
    }
  }
  void change_user(Op& op, Model& model, const std::string& key, std::uint64_t hash) {
    switch (random_() % 6) {
      case 0: EXPECT_EQ(op.users.erase(key, hash), model.users.erase(key) == 1); break;
      case 1: {
        const Spend* found = op.users.find(key, hash);
        const auto expected = model.users.find(key);
        ASSERT_EQ(found != nullptr, expected != model.users.end()) << key;
        if (found != nullptr) {
          ASSERT_EQ(*found, expected->second);
        }
        break;
      }
      case 2:
        if (Spend* found = op.users.find_for_update(key, hash); found != nullptr) {
          ASSERT_TRUE(model.users.contains(key));
          found->note = std::string(random_() % 100, 'n');
          model.users[key].note = found->note;
        } else {
          ASSERT_FALSE(model.users.contains(key));
        }
        break;
      default: {
        Spend& spend = op.users.at(key, hash);
        ASSERT_EQ(spend, model.users[key]) << key;
        ++spend.count;
        spend.note += 'x';
        model.users[key] = spend;
      }
    }
  }
  void change_pane(Op& op, Model& model, EventTime ns, const std::string& key, std::uint64_t hash) {
    if (random_() % 8 == 0) {
      EXPECT_EQ(op.panes.erase(ns, key, hash), model.panes[ns].erase(key) == 1);
    } else {
      op.panes.at(ns, key, hash).add(3, 'a');
      model.panes[ns][key].add(3, 'a');
    }
    if (model.panes[ns].empty()) model.panes.erase(ns);
  }

  void add_to_panes(Op& op, Snapshotable& panes, Model& model,
                    const std::vector<KeyRef<std::string>>& refs) {
    const EventTime ns = window();
    const char by = static_cast<char>('A' + random_() % 26);
    op.panes.accumulate(
        ns, refs, [&](std::size_t i, Pane& pane) { pane.add(static_cast<std::int64_t>(i), by); });
    for (std::size_t i = 0; i < refs.size(); ++i)
      model.panes[ns][*refs[i].key].add(static_cast<std::int64_t>(i), by);
    if (refs.empty()) return;
    const KeyRef<std::string>& one = refs[random_() % refs.size()];
    if (random_() % 3 == 0) {
      const Pane* found = op.panes.find(ns, *one.key, one.hash);
      ASSERT_NE(found, nullptr);
      EXPECT_EQ(*found, model.panes[ns][*one.key]);
    }
    if (random_() % 3 == 0) {
      StateQuery query;
      query.state = "panes";
      query.hash = one.hash;
      encode(query.key, *one.key);
      panes.answer(query);
      EXPECT_EQ(query.rows.size(),
                static_cast<std::size_t>(std::ranges::count_if(model.panes, [&](const auto& pane) {
                  return pane.second.contains(*one.key);
                })));
      for (const auto& row : query.rows)
        EXPECT_EQ(decode<Pane>(row.value), model.panes[*row.window][*one.key]);
    }
  }

  // What firing a window does: read all of it, group by group, then drop it. Half of the time the
  // firing stops midway, as one that yields to a barrier: only some of the groups are gone then.
  void fire(testing::Attempt<Op>& run, Model& model) {
    const EventTime ns = window();
    const bool drops = random_() % 2 == 0;
    const bool by_group = random_() % 3 != 0;
    const bool midway = random_() % 2 == 0;
    const bool writes = random_() % 4 == 0;
    const std::uint32_t groups = GetParam().groups;
    std::map<std::string, Pane> fired;
    std::map<std::string, Pane> expected;
    if (const auto it = model.panes.find(ns); it != model.panes.end()) expected = it->second;
    for (std::size_t s = 0; s < run.size(); ++s) {
      Op& op = run.op(s);
      const KeyGroupRange own = run.groups_of(s);
      for (KeyGroup g = own.begin; g < own.end; ++g) {
        if (writes) {
          op.panes.for_each(ns, g, [&](const std::string& key, std::uint64_t hash, Pane& value) {
            EXPECT_EQ(key_hash(key), hash);
            EXPECT_TRUE(fired.emplace(key, value).second) << "twice: " << key;
            value.add(1, 'w');
            model.panes[ns][key] = value;
          });
        } else {
          op.panes.for_each(ns, g,
                            [&](const std::string& key, std::uint64_t hash, const Pane& value) {
                              EXPECT_EQ(key_group_of(hash, groups), g);
                              EXPECT_TRUE(fired.emplace(key, value).second) << "twice: " << key;
                            });
        }
        if (drops && by_group && (!midway || random_() % 2 == 0)) {
          op.panes.drop(ns, g);
          std::erase_if(model.panes[ns], [&](const auto& pane) {
            return key_group_of(key_hash(pane.first), groups) == g;
          });
        }
      }
      if (drops && !by_group) op.panes.drop(ns);
    }
    EXPECT_EQ(fired, expected);
    if (drops && !by_group) model.panes.erase(ns);
    if (model.panes.contains(ns) && model.panes[ns].empty()) model.panes.erase(ns);
  }

  // Everything, read back. `is_fresh`: right after a restore, when the open namespaces are known
  // exactly.
  void compare(testing::Attempt<Op>& run, const Model& model, bool is_fresh) {
    Model found;
    for (std::size_t s = 0; s < run.size(); ++s) {
      Op& op = run.op(s);
      const KeyGroupRange own = run.groups_of(s);
      const std::vector<EventTime> open = op.panes.namespaces();
      EXPECT_TRUE(std::ranges::is_sorted(open));
      for (KeyGroup g = own.begin; g < own.end; ++g) {
        op.users.for_each_in_group(g, [&](const std::string& key, std::uint64_t,
                                          const Spend& value) { found.users.emplace(key, value); });
        op.numbers.for_each_in_group(g, [&](std::uint32_t key, std::uint64_t, std::uint64_t value) {
          found.numbers.emplace(key, value);
        });
        for (const EventTime ns : open) {
          op.panes.for_each(ns, g, [&](const std::string& key, std::uint64_t, const Pane& value) {
            found.panes[ns].emplace(key, value);
          });
        }
      }
      if (is_fresh) {
        for (const EventTime ns : open) EXPECT_TRUE(model.panes.contains(ns)) << ns.ms;
      }
    }
    EXPECT_EQ(found.users, model.users);
    EXPECT_EQ(found.numbers, model.numbers);
    EXPECT_EQ(found.panes, model.panes);
  }

  void run_seed(std::uint64_t seed) {
    random_.seed(seed);
    Model model;
    Model committed;
    testing::TakenCheckpoint taken;
    CheckpointId id = 1;
    auto run = std::make_unique<testing::Attempt<Op>>(backend(), 2, GetParam().groups, nullptr);
    for (int step = 0; step < 150 && !HasFailure(); ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      switch (random_() % 12) {
        case 0:
        case 1: fire(*run, model); break;
        case 2:
        case 3: {
          checkpoint(*run, model, committed, taken, id++);
          break;
        }
        case 4:
          if (taken.id != 0 && random_() % 2 == 0) {
            run.reset();
            model = committed;
            run = std::make_unique<testing::Attempt<Op>>(
                backend(), 1 + static_cast<int>(random_() % 4), GetParam().groups, &taken);
            if (random_() % 2 == 0) compare(*run, model, true);
          }
          break;
        case 5: compare(*run, model, false); break;
        default: batch(*run, model);
      }
    }
    compare(*run, model, false);
  }

  // The barrier reaches the subtasks one after another, with batches in between that belong to both
  // sides of it.
  void checkpoint(testing::Attempt<Op>& run, Model& model, Model& committed,
                  testing::TakenCheckpoint& taken, CheckpointId id) {
    // Subtasks see their barriers at once here, so that the model can be copied; what comes between
    // is the drain.
    for (std::size_t s = 0; s < run.size(); ++s) run.freeze(s, id);
    Model frozen = model;
    bool is_drained = false;
    while (!is_drained) {
      is_drained = true;
      for (std::size_t s = 0; s < run.size(); ++s) is_drained &= run.drain(s, 1 + random_() % 40);
      if (random_() % 3 == 0) batch(run, model);
      if (random_() % 10 == 0) fire(run, model);
    }
    for (std::size_t n = random_() % 3; n > 0; --n) batch(run, model);
    if (random_() % 4 == 0)
      return;  // a checkpoint that never came to be; the next one takes its changes along
    taken = run.finish(id, folder_.path() / std::to_string(next_folder_++));
    committed = std::move(frozen);
  }

  testing::TemporaryFolder folder_;
  std::mt19937_64 random_;
  int next_folder_ = 0;
};

TEST_P(StateModel, AgreesWithPlainMaps) {
  for_each_seed(GetParam().seeds, [this](std::uint64_t seed) { run_seed(seed); });
}

INSTANTIATE_TEST_SUITE_P(
    Settings, StateModel,
    ::testing::Values(Setting{"memory", 0, 16, 8}, Setting{"memory", 4096, 16, 12},
                      Setting{"memory", 20000, 10, 12}, Setting{"rocksdb", 0, 16, 2},
                      Setting{"rocksdb", 16384, 10, 3}, Setting{"rocksdb", 60000, 16, 2}),
    [](const auto& test) { return test.param.backend + std::to_string(test.param.memory); });

}  // namespace
}  // namespace tidemill
