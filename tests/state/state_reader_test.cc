// The state of a checkpoint, read without the program that wrote it.
#include "state/state_reader.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "state/keyed_value.h"
#include "state/timers.h"
#include "state/windowed_value.h"
#include "tests/state/attempt.h"

namespace tidemill {
namespace {

struct Op {
  explicit Op(OperatorContext& ctx)
      : counts(ctx, "counts"), sums(ctx, "sums"), timers(ctx, "timers") {}
  void set(const std::string& key, int count) {
    counts[key] = count;
    sums.at(EventTime{1000}, key, key_hash(key)) = count * 10;
    sums.at(EventTime{-2000}, key, key_hash(key)) = count * 20;
    timers.set(EventTime{5000}, key, key_hash(key), 7);
  }
  KeyedValue<std::string, int> counts;
  WindowedValue<std::string, int> sums;
  Timers<std::string> timers;
};

class StateReaderTest : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Backend> backend() {
    return make_backend(GetParam(), {.dir = folder_.path() / "work"});
  }
  std::unique_ptr<StateReader> read(const testing::TakenCheckpoint& taken) {
    Manifest manifest;
    manifest.backend = GetParam();
    manifest.files = taken.files;
    return std::make_unique<StateReader>(manifest, taken.folder);
  }
  testing::TemporaryFolder folder_;
};

TEST_P(StateReaderTest, FindsTheRowsOfAKey) {
  testing::Attempt<Op> run(backend(), 1, 16, nullptr);
  for (int i = 0; i < 3000; ++i) run.op(0).set("user " + std::to_string(i), i);
  const auto taken = run.checkpoint(1, folder_.path() / "1");
  const auto reader = read(taken);

  ASSERT_EQ(reader->states().size(), 3U);
  EXPECT_EQ(reader->size({"op", "counts"}).rows, 3000U);
  EXPECT_EQ(reader->size({"op", "sums"}).rows, 6000U);
  const auto count = reader->get({"op", "counts"}, "user 17");
  ASSERT_EQ(count.size(), 1U);
  EXPECT_EQ(count[0].key, "\"user 17\"");
  EXPECT_EQ(count[0].value, "17");
  EXPECT_FALSE(count[0].window);
  const auto sums = reader->get({"op", "sums"}, "user 17");
  ASSERT_EQ(sums.size(), 2U);
  EXPECT_EQ(sums[0].window, EventTime{-2000});
  EXPECT_EQ(sums[0].value, "340");
  EXPECT_EQ(sums[1].value, "170");
  const auto timers = reader->get({"op", "timers"}, "user 17");
  ASSERT_EQ(timers.size(), 1U);
  EXPECT_EQ(timers[0].key, "[\"user 17\",5000,7]");
  EXPECT_TRUE(reader->get({"op", "counts"}, "user").empty());
  EXPECT_THROW((void)reader->get({"op", "nothing"}, "user 17"), Error);
}

TEST_P(StateReaderTest, ComparesTwoCheckpoints) {
  testing::Attempt<Op> run(backend(), 1, 16, nullptr);
  for (int i = 0; i < 3000; ++i) run.op(0).set("user " + std::to_string(i), i);
  const auto before = read(run.checkpoint(1, folder_.path() / "1"));
  run.op(0).counts["user 5"] = -1;
  run.op(0).counts["new"] = 1;
  run.op(0).counts.erase("user 6");
  run.op(0).counts.erase("user 7");
  const auto after = read(run.checkpoint(2, folder_.path() / "2"));

  const auto d = before->compare(*after, {"op", "counts"}, 1);
  EXPECT_EQ(d.same, 2997U);
  EXPECT_EQ(d.added, 1U);
  EXPECT_EQ(d.removed, 2U);
  EXPECT_EQ(d.changed, 1U);
  ASSERT_EQ(d.changed_rows.size(), 1U);
  EXPECT_EQ(d.changed_rows[0].first.value, "5");
  EXPECT_EQ(d.changed_rows[0].second.value, "-1");
  EXPECT_EQ(d.added_rows.at(0).key, "\"new\"");
  EXPECT_EQ(d.removed_rows.size(), 1U) << "no more than were asked for";
  EXPECT_EQ(before->compare(*after, {"op", "sums"}, 1).same, 6000U);
}

TEST_P(StateReaderTest, ARunningStoreAnswersWithWhatIsNotInACheckpointYet) {
  testing::Attempt<Op> first(backend(), 1, 16, nullptr);
  for (int i = 0; i < 100; ++i) first.op(0).set("user " + std::to_string(i), i);
  const auto taken = first.checkpoint(1, folder_.path() / "1");
  testing::Attempt<Op> run(backend(), 1, 16, &taken);
  run.op(0).counts["user 2"] = 99;
  run.op(0).counts.erase("user 3");
  const auto ask = [&](Snapshotable& part, const std::string& state, const std::string& key) {
    StateQuery query;
    query.state = state;
    Codec<std::string>::encode(query.key, key);
    query.hash = key_hash(key);
    part.answer(query);
    return query;
  };
  const auto value = [&](const std::string& key) {
    StateQuery query;
    for (Snapshotable* part : run.parts_of(0)) {
      query = ask(*part, "counts", key);
      if (query.is_known) break;
    }
    return query.rows.empty() ? -1 : decode<int>(query.rows.front().value);
  };
  EXPECT_EQ(value("user 1"), 1) << "only in the backend";
  EXPECT_EQ(value("user 2"), 99);
  EXPECT_EQ(value("user 3"), -1) << "erased";
  EXPECT_EQ(value("user 1000"), -1);
}

INSTANTIATE_TEST_SUITE_P(Backends, StateReaderTest, ::testing::Values("memory", "rocksdb"));

}  // namespace
}  // namespace tidemill
