// A program whose types have changed goes on from the checkpoints of the former one: every kind of
// state, both backends.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe.hpp>

#include "engine/base/files.h"
#include "engine/checkpoint/manifest.h"
#include "state/keyed_list.h"
#include "state/keyed_table.h"
#include "state/keyed_value.h"
#include "state/operator_state.h"
#include "state/windowed_value.h"
#include "tests/state/attempt.h"
#include "tests/state/old_state.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

class Evolution : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Backend> backend() {
    const auto dir = folder_.path() / ("work" + std::to_string(next_dir_++));
    return make_backend(GetParam(), {.dir = dir, .memory = std::size_t{64} << 20});
  }
  fs::path next_folder() { return folder_.path() / std::to_string(next_dir_++); }
  testing::TakenCheckpoint old_checkpoint() const {
    const fs::path at = fs::path(std::getenv("TIDEMILL_OLD_CHECKPOINTS")) / GetParam();
    const Manifest manifest = decode_manifest(read_file(at / "manifest"), at.string());
    return {manifest.seq, at / "state", manifest.files, manifest.operators.at("op")};
  }
  testing::TemporaryFolder folder_;
  int next_dir_ = 0;
};

template <class Op>
std::string refusal(std::unique_ptr<Backend> backend, const testing::TakenCheckpoint& taken) {
  try {
    testing::Attempt<Op> run(std::move(backend), 1, old_state::kGroups, &taken);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kConfig);
    const std::string all = e.what();
    const auto at = all.find(": op/");
    return at == std::string::npos ? all : all.substr(at + 2);
  }
  return "none";
}

TEST_P(Evolution, ACheckpointFromBeforeTypesWereStoredIsRestored) {
  for (const int parallelism : {1, 2}) {
    const testing::TakenCheckpoint taken = old_checkpoint();
    testing::Attempt<old_state::States> run(backend(), parallelism, old_state::kGroups, &taken);
    for (int i = 0; i < old_state::kKeys; ++i) {
      const std::string key = old_state::key_of(i);
      const std::uint64_t hash = key_hash(key);
      old_state::States& op = run.op_of(hash);
      const old_state::Place place = old_state::place_of(i);
      ASSERT_NE(op.seen.find(key, hash), nullptr);
      EXPECT_EQ(*op.seen.find(key, hash), old_state::seen_of(i));
      EXPECT_EQ(*op.counts.find(key, hash), -i);
      EXPECT_EQ(*op.panes.find(EventTime{1000 * (i % 4)}, key, hash), place);
      EXPECT_EQ(*op.rows.get(key, hash, EventTime{-5}), place);
      EXPECT_EQ(*op.rows.get(key, hash, EventTime{i}), old_state::place_of(0));
      EXPECT_EQ(*op.list.find(key, hash),
                (std::vector<old_state::Place>{place, old_state::place_of(1)}));
    }
    std::size_t fired = 0;
    for (std::size_t s = 0; s < run.size(); ++s) {
      EXPECT_EQ(run.op(s).rules.restored(),
                (std::vector<old_state::Rules>{old_state::rules_of(0), old_state::rules_of(1)}));
      const KeyGroupRange own = run.groups_of(s);
      for (KeyGroup g = own.begin; g < own.end; ++g) {
        EXPECT_EQ(run.op(s).clocks[g], EventTime{static_cast<std::int64_t>(g)});
        run.op(s).timers.fire_due(
            g, EventTime{100}, 1000,
            [&](EventTime, const std::string&, std::uint64_t, std::uint64_t) { ++fired; });
      }
    }
    EXPECT_EQ(fired, std::size_t{old_state::kKeys});
  }
}

// What the three versions of a program keep. The second one moves and widens, the third one drops
// what the first one had.
struct Second {
  bool is_new = true;
  float share = 0;
  std::int64_t times = 0;
  std::string country;
  std::vector<old_state::Place> places;
  std::optional<old_state::Place> last;
  old_state::Colour colour = old_state::Colour::kRed;
};
BOOST_DESCRIBE_STRUCT(Second, (), (is_new, share, times, country, places, last, colour))

struct Home {
  std::int64_t floor = 0;
  double height = 2.5;
};
BOOST_DESCRIBE_STRUCT(Home, (), (floor, height))

struct Third {
  std::vector<Home> places;
  std::optional<std::int64_t> times;
  double share = 0;
  bool is_new = true;
};
BOOST_DESCRIBE_STRUCT(Third, (), (places, times, share, is_new))

struct LaterRules {
  std::string name;
  std::vector<std::string> more{"more"};
};
BOOST_DESCRIBE_STRUCT(LaterRules, (), (name, more))

struct SecondStates {
  explicit SecondStates(OperatorContext& ctx) : seen(ctx, "seen"), counts(ctx, "counts") {}
  KeyedValue<std::string, Second> seen;
  KeyedValue<std::string, std::int64_t> counts;
};

struct ThirdStates {
  explicit ThirdStates(OperatorContext& ctx)
      : seen(ctx, "seen"),
        counts(ctx, "counts"),
        panes(ctx, "panes"),
        rows(ctx, "rows"),
        list(ctx, "list"),
        rules(ctx, "rules") {}
  KeyedValue<std::string, Third> seen;
  KeyedValue<std::string, std::optional<std::int64_t>> counts;
  WindowedValue<std::string, Home> panes;
  KeyedTable<std::string, EventTime, Home> rows;
  KeyedList<std::string, Home> list;
  OperatorState<LaterRules> rules;
};

TEST_P(Evolution, RowsOfThreeVersionsAreRead) {
  testing::TakenCheckpoint taken = old_checkpoint();
  {
    // Of the first version with types: it takes the rows of old as what it has itself.
    testing::Attempt<old_state::States> run(backend(), 2, old_state::kGroups, &taken);
    for (std::size_t s = 0; s < run.size(); ++s) *run.op(s).rules = run.op(s).rules.restored()[s];
    taken = run.checkpoint(4, next_folder());
  }
  {
    testing::Attempt<SecondStates> run(backend(), 2, old_state::kGroups, &taken);
    const std::string key = "second";
    const std::uint64_t hash = key_hash(key);
    run.op_of(hash).seen.at(key, hash) = {false, 1.5F, std::int64_t{1} << 40, "NO", {}, {}, {}};
    run.op_of(hash).counts.at(key, hash) = -(std::int64_t{1} << 40);
    const Second* first = run.op_of(key_hash("user7")).seen.find("user7", key_hash("user7"));
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(first->country, "SE");
    EXPECT_EQ(first->colour, old_state::Colour::kBlue);
    EXPECT_EQ(first->last, old_state::place_of(7));
    // What this version has not asked for is still there.
    auto parts = std::move(taken.parts);
    taken = run.checkpoint(5, next_folder());
    taken.parts = std::move(parts);
  }
  for (int round = 0; round < 2; ++round) {
    testing::Attempt<ThirdStates> run(backend(), 3, old_state::kGroups, &taken);
    for (int i = 0; i < old_state::kKeys; ++i) {
      SCOPED_TRACE(i);
      const std::string key = old_state::key_of(i);
      const std::uint64_t hash = key_hash(key);
      ThirdStates& op = run.op_of(hash);
      const KeyRef<std::string> ref{&key, hash};
      op.seen.prefetch({&ref, 1});
      const Third* seen = op.seen.find(key, hash);
      ASSERT_NE(seen, nullptr);
      const old_state::Seen first = old_state::seen_of(i);
      ASSERT_EQ(seen->places.size(), first.places.size());
      for (const Home& home : seen->places) {
        EXPECT_EQ(home.floor, i);
        EXPECT_EQ(home.height, 2.5);
      }
      EXPECT_EQ(seen->times, first.times);
      EXPECT_EQ(seen->share, first.share);
      EXPECT_TRUE(seen->is_new);
      EXPECT_EQ(*op.counts.find(key, hash), -i);
      EXPECT_EQ(op.panes.find(EventTime{1000 * (i % 4)}, key, hash)->floor, i);
      EXPECT_EQ(op.rows.get(key, hash, EventTime{-5})->floor, i);
      EXPECT_EQ(op.list.find(key, hash)->at(1).floor, 1);
    }
    const std::string key = "second";
    const Third* second = run.op_of(key_hash(key)).seen.find(key, key_hash(key));
    ASSERT_NE(second, nullptr);
    EXPECT_EQ(second->times, std::int64_t{1} << 40);
    EXPECT_FALSE(second->is_new);
    EXPECT_EQ(*run.op_of(key_hash(key)).counts.find(key, key_hash(key)), -(std::int64_t{1} << 40));
    for (std::size_t s = 0; s < run.size(); ++s) {
      ASSERT_FALSE(run.op(s).rules.restored().empty());
      EXPECT_EQ(run.op(s).rules.restored()[0].name, "rules");
      EXPECT_EQ(run.op(s).rules.restored()[0].more, (std::vector<std::string>{"more"}));
      *run.op(s).rules = run.op(s).rules.restored()[0];
    }
    taken = run.checkpoint(6 + static_cast<CheckpointId>(round), next_folder());
  }
}

template <class K, class V>
struct Seen {
  explicit Seen(OperatorContext& ctx) : seen(ctx, "seen") {}
  KeyedValue<K, V> seen;
};
struct OtherRules {
  explicit OtherRules(OperatorContext& ctx) : rules(ctx, "rules") {}
  OperatorState<old_state::Place> rules;
};
struct Narrow {
  std::string country;
  std::int16_t times = 0;
};
BOOST_DESCRIBE_STRUCT(Narrow, (), (country, times))

TEST_P(Evolution, AChangeOfAnotherKindIsRefusedBeforeTheFirstRecord) {
  testing::TakenCheckpoint taken = old_checkpoint();
  {
    testing::Attempt<old_state::States> run(backend(), 2, old_state::kGroups, &taken);
    taken = run.checkpoint(4, next_folder());
  }
  EXPECT_EQ((refusal<Seen<std::string, Narrow>>(backend(), taken)),
            "op/seen field times is int32, the program wants int16: numbers may only become wider");
  EXPECT_EQ((refusal<Seen<std::uint64_t, old_state::Seen>>(backend(), taken)),
            "op/seen key is text, the program wants uint64: keys decide where rows are and cannot "
            "be changed");
  EXPECT_EQ((refusal<OtherRules>(backend(), taken)), "none")
      << "fields of other names are removed and added";
  EXPECT_EQ((refusal<Seen<std::string, std::string>>(backend(), taken)).substr(0, 34),
            "op/seen is struct{country: text, a");
}

TEST_P(Evolution, AnAttemptThatEndsBeforeItsCheckpointLeavesTheFormerOneAsItWas) {
  testing::TakenCheckpoint taken = old_checkpoint();
  {
    testing::Attempt<old_state::States> run(backend(), 1, old_state::kGroups, &taken);
    taken = run.checkpoint(4, next_folder());
  }
  for (int i = 0; i < 2; ++i) {
    testing::Attempt<ThirdStates> run(backend(), 1, old_state::kGroups, &taken);
    EXPECT_EQ(run.op(0).seen.find("user3", key_hash("user3"))->times, -3);
  }
  testing::Attempt<old_state::States> run(backend(), 1, old_state::kGroups, &taken);
  EXPECT_EQ(*run.op(0).seen.find("user3", key_hash("user3")), old_state::seen_of(3));
}

INSTANTIATE_TEST_SUITE_P(Backends, Evolution, ::testing::Values("memory", "rocksdb"));

}  // namespace
}  // namespace tidemill
