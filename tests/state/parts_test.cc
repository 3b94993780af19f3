// Values in parts (state/parts.h): what a reader sees while they arrive in the store, what is left
// of them for whoever does not know their type, what becomes of them when it changes.
#include "state/parts.h"

#include <atomic>
#include <filesystem>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <boost/describe.hpp>

#include "state/state_reader.h"
#include "state/windowed_value.h"
#include "tests/state/attempt.h"

namespace tidemill {
namespace {

constexpr EventTime kWindow{1000};
constexpr std::uint64_t kKeys = 2000;

struct Added {
  std::int64_t n = 0;
  void merge(const Added& other) { n += other.n; }
};
BOOST_DESCRIBE_STRUCT(Added, (), (n))

template <class V>
struct Op {
  explicit Op(OperatorContext& ctx) : sums(ctx, "sums") {}
  // One more for each key.
  void add() {
    std::vector<std::uint64_t> keys(kKeys);
    std::vector<KeyRef<std::uint64_t>> refs;
    for (std::uint64_t i = 0; i < kKeys; ++i) {
      keys[i] = i;
      refs.push_back({&keys[i], key_hash(keys[i])});
    }
    sums.accumulate(kWindow, refs, [](std::size_t, V& value) { ++value.n; });
  }
  std::int64_t total(std::uint32_t groups) {
    std::int64_t all = 0;
    for (KeyGroup g = 0; g < groups; ++g)
      sums.for_each(kWindow, g,
                    [&](std::uint64_t, std::uint64_t, const V& value) { all += value.n; });
    return all;
  }
  WindowedValue<std::uint64_t, V> sums;
};

class Parts : public ::testing::Test {
 protected:
  std::unique_ptr<Backend> backend() {
    return make_backend("rocksdb", {.dir = folder_.path() / ("work" + std::to_string(next_++)),
                                    .memory = std::size_t{64} << 20});
  }
  std::filesystem::path next_folder() { return folder_.path() / std::to_string(next_++); }
  // A checkpoint with a whole value of each key and a part of each: 2 in all.
  testing::TakenCheckpoint with_parts() {
    testing::Attempt<Op<Added>> first(backend(), 1, kGroups, nullptr);
    first.op(0).add();
    const auto whole = first.checkpoint(1, next_folder());
    testing::Attempt<Op<Added>> run(backend(), 1, kGroups, &whole);
    run.op(0).add();
    return run.checkpoint(2, next_folder());
  }
  static constexpr std::uint32_t kGroups = 4;
  testing::TemporaryFolder folder_;
  int next_ = 0;
};

// The store shows a checkpoint's parts from some instant on, in the middle of the task's reading.
TEST_F(Parts, AreCountedOnceWhileTheyArriveInTheStore) {
  const auto start = with_parts();
  testing::Attempt<Op<Added>> run(backend(), 1, kGroups, &start);
  Op<Added>& op = run.op(0);
  std::int64_t each = 2;
  for (CheckpointId id = 3; id < 43 && !HasFailure(); ++id) {
    op.add();
    ++each;
    run.freeze(0, id);
    while (!run.drain(0, 1000)) {
    }
    op.add();  // after the barrier: the store will not have it
    ++each;
    const auto folder = next_folder();
    std::filesystem::create_directories(folder);
    std::atomic<bool> is_linked = false;
    std::jthread coordinator([&] {
      run.backend().snapshot(id, folder);
      is_linked = true;
    });
    do {
      ASSERT_EQ(op.total(kGroups), each * static_cast<std::int64_t>(kKeys)) << "checkpoint " << id;
    } while (!is_linked);
    ASSERT_EQ(op.total(kGroups), each * static_cast<std::int64_t>(kKeys)) << "checkpoint " << id;
  }
}

TEST_F(Parts, AreShownAsTheyAreToWhoeverDoesNotKnowTheirType) {
  const auto taken = with_parts();
  Manifest manifest;
  manifest.backend = "rocksdb";
  manifest.files = taken.files;
  StateReader reader(manifest, taken.folder);
  const auto rows = reader.get({"op", "sums"}, "7");
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].value, R"({"parts":[{"n":1},{"n":1}]})");
  EXPECT_EQ(reader.size({"op", "sums"}).rows, kKeys);
}

// Without their type nobody can tell whether parts are what a whole value is.
TEST_F(Parts, AreNeitherTheSameNorDifferentToWhoeverDoesNotKnowTheirType) {
  const auto read = [](const testing::TakenCheckpoint& taken) {
    Manifest manifest;
    manifest.backend = "rocksdb";
    manifest.files = taken.files;
    return std::make_unique<StateReader>(manifest, taken.folder);
  };
  const auto compared = [&](const StateReader& a, const StateReader& b) {
    const auto d = a.compare(b, {"op", "sums"}, 1);
    return std::vector<std::uint64_t>{d.same, d.changed, d.in_parts, d.changed_rows.size()};
  };
  const auto in_parts = read(with_parts());
  testing::Attempt<Op<Added>> run(backend(), 1, kGroups, nullptr);
  run.op(0).add();
  const auto one = read(run.checkpoint(1, next_folder()));
  run.op(0).add();
  const auto two = read(run.checkpoint(2, next_folder()));
  EXPECT_EQ(compared(*in_parts, *two), (std::vector<std::uint64_t>{0, 0, kKeys, 0}));
  EXPECT_EQ(compared(*one, *in_parts), (std::vector<std::uint64_t>{0, 0, kKeys, 0}));
  EXPECT_EQ(compared(*in_parts, *in_parts), (std::vector<std::uint64_t>{kKeys, 0, 0, 0}));
  EXPECT_EQ(compared(*one, *two), (std::vector<std::uint64_t>{0, kKeys, 0, 1}));
}

// As Added, but that n is the second of two fields: all rows are converted.
struct AddedLater {
  std::int64_t first = 5;
  std::int64_t n = 0;
  void merge(const AddedLater& other) { n += other.n; }
};
BOOST_DESCRIBE_STRUCT(AddedLater, (), (first, n))
// Can be read, not added to.
struct OnlyRead {
  std::int64_t n = 0;
};
BOOST_DESCRIBE_STRUCT(OnlyRead, (), (n))

TEST_F(Parts, AreConvertedOneByOneWhenTheirTypeHasChanged) {
  const auto taken = with_parts();
  testing::Attempt<Op<AddedLater>> run(backend(), 1, kGroups, &taken);
  run.op(0).add();
  EXPECT_EQ(run.op(0).total(kGroups), 3 * static_cast<std::int64_t>(kKeys));
  const std::uint64_t key = 7;
  EXPECT_EQ(run.op(0).sums.find(kWindow, key, key_hash(key))->first, 5);
}

// What `act` is refused with.
template <class Act>
std::string refusal(Act act) {
  try {
    act();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kConfig);
    return e.what();
  }
  return "nothing";
}

TEST_F(Parts, OfATypeThatCannotBeMergedAnyMoreAreRefusedUpFront) {
  const auto taken = with_parts();
  const std::string told =
      refusal([&] { testing::Attempt<Op<OnlyRead>>(backend(), 1, kGroups, &taken); });
  EXPECT_NE(told.find("no merge()"), std::string::npos) << told;
  EXPECT_NE(told.find("op/sums"), std::string::npos) << told;
  // The checkpoint says so to whoever reads its description only.
  Manifest manifest;
  manifest.backend = "rocksdb";
  manifest.files = taken.files;
  const auto states = StateReader(manifest, taken.folder).states();
  ASSERT_EQ(states.size(), 1U);
  EXPECT_TRUE(states[0].may_have_parts);
}

TEST_F(Parts, WithoutThemATypeNeedNotBeMerged) {
  testing::Attempt<Op<Added>> first(backend(), 1, kGroups, nullptr);
  first.op(0).add();
  const auto whole = first.checkpoint(1, next_folder());
  testing::Attempt<Op<OnlyRead>> run(backend(), 1, kGroups, &whole);
  run.op(0).add();
  EXPECT_EQ(run.op(0).total(kGroups), 2 * static_cast<std::int64_t>(kKeys));
}

// It does not say so if it is older than that: then it is whoever reads a value in parts that finds
// out.
TEST_F(Parts, OfACheckpointThatDoesNotTellAreRefusedWhenTheyAreRead) {
  const auto old = backend();
  old->restore({}, {});
  const StateId id = old->state_id({"op", "sums"}, "windowed",
                                   {stored_type<std::uint64_t>(), stored_type<Added>(), true});
  ASSERT_TRUE(old->take_parts(id, merge_parts_of<Added>));
  Bytes key = key_prefix(id);
  append_u64(key, ordered(kWindow.ms));
  const std::uint64_t seven = 7;
  append_u64(key, key_hash(seven));
  encode(key, seven);
  Bytes one;
  encode(one, Added{1});
  for (CheckpointId checkpoint = 1; checkpoint <= 2; ++checkpoint) {
    SortedRun run;
    run.put_part(key, one);
    old->stage(checkpoint, std::move(run));
  }
  testing::TakenCheckpoint taken{2, next_folder(), {}, {}};
  std::filesystem::create_directories(taken.folder);
  taken.files = old->snapshot(2, taken.folder);
  {
    testing::Attempt<Op<Added>> run(backend(), 1, kGroups, &taken);
    EXPECT_EQ(run.op(0).total(kGroups), 2);
  }
  testing::Attempt<Op<OnlyRead>> run(backend(), 1, kGroups, &taken);
  const std::string told = refusal([&] { run.op(0).total(kGroups); });
  EXPECT_NE(told.find("no merge()"), std::string::npos) << told;
}

TEST(PartsOfAValue, AreOnesOfAllWhenPartsMeet) {
  Bytes two;
  append_part(two, "a");
  append_part(two, "b");
  Bytes all;
  append_part(all, two);
  append_part(all, "c");
  ASSERT_TRUE(is_in_parts(all));
  std::string found;
  for (ByteReader in(ByteView(all).substr(1)); !in.empty();) found += next_part(in);
  EXPECT_EQ(found, "abc");
  EXPECT_FALSE(is_in_parts("\1\0"));
  EXPECT_FALSE(is_in_parts(""));
  Bytes damaged = all;
  damaged.pop_back();
  EXPECT_THROW(decode_value<Added>(damaged), Error);
}

}  // namespace
}  // namespace tidemill
