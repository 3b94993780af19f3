// State of checkpoints for people, from their folders alone.
#include "service/tools/state_tools.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>

#include <boost/describe.hpp>

#include "engine/base/error.h"
#include "engine/checkpoint/storage.h"
#include "state/keyed_value.h"
#include "state/operator_state.h"
#include "state/windowed_value.h"
#include "tests/state/attempt.h"

namespace tidemill::tools {
namespace {

using ::testing::HasSubstr;

struct Added {
  int n = 0;
  void merge(const Added& other) { n += other.n; }
};
BOOST_DESCRIBE_STRUCT(Added, (), (n))

struct Op {
  explicit Op(OperatorContext& ctx)
      : counts(ctx, "counts"), sums(ctx, "sums"), added(ctx, "added"), seen(ctx, "seen") {}
  void add(const std::string& key) {
    const KeyRef<std::string> ref{&key, key_hash(key)};
    added.accumulate(EventTime{1000}, {&ref, 1}, [](std::size_t, Added& value) { ++value.n; });
  }
  KeyedValue<std::string, int> counts;
  WindowedValue<std::string, double> sums;
  WindowedValue<std::string, Added> added;
  OperatorState<int> seen;
};

class StateTools : public ::testing::TestWithParam<const char*> {
 protected:
  StateTools()
      : storage_(folder_.path() / "job", CheckpointStorage::Access::kOwn, false),
        run_(make_backend(GetParam(), {.dir = folder_.path() / "work"}), 1, 16, nullptr) {}

  std::filesystem::path take(CheckpointId seq) { return take(seq, run_); }
  std::filesystem::path take(CheckpointId seq, testing::Attempt<Op>& run) {
    Manifest manifest;
    manifest.job = "job";
    manifest.checkpoint = CheckpointStorage::new_id(seq);
    manifest.seq = seq;
    manifest.backend = GetParam();
    manifest.key_groups = 16;
    const auto state = storage_.begin(manifest.checkpoint);
    taken_ = run.checkpoint(seq, state);
    manifest.files = taken_.files;
    manifest.operators.emplace("op", taken_.parts);
    storage_.finish(manifest);
    taken_.folder = storage_.state_folder(manifest.checkpoint);
    return storage_.folder() / manifest.checkpoint;
  }
  Op& op() { return run_.op(0); }
  void set(const std::string& key, int count) {
    op().counts[key] = count;
    op().sums.at(EventTime{1000}, key, key_hash(key)) = count * 1.5;
  }

  testing::TemporaryFolder folder_;
  CheckpointStorage storage_;
  testing::Attempt<Op> run_;
  testing::TakenCheckpoint taken_;  // the last one
};

TEST_P(StateTools, ListsWhatThereIsAndWhatAKeyHas) {
  for (int i = 0; i < 2000; ++i) set("user " + std::to_string(i), i);
  *op().seen = 7;
  const auto path = take(1);
  for (const auto& place : {path, path / "", storage_.folder()}) {
    const OpenedCheckpoint opened(place);
    const std::string states = states_json(opened, true);
    EXPECT_THAT(states,
                HasSubstr(R"({"operator":"op","state":"counts","kind":"value","key":"text",)"
                          R"("value":"int32","entries":2000,"bytes":)"));
    EXPECT_THAT(states,
                HasSubstr(R"("state":"seen","kind":"operator","key":"none","value":"int32")"));
  }
  const OpenedCheckpoint opened(storage_.folder(), "1");
  EXPECT_THAT(states_json(opened, false), HasSubstr(R"("entries":null,"bytes":null)"));
  const std::string found = key_json(opened, {"op", "counts"}, "user 17");
  EXPECT_THAT(found,
              HasSubstr(R"({"found":true,"operator":"op","state":"counts","key":"user 17",)"));
  EXPECT_THAT(found, HasSubstr(R"("value":17})"));
  EXPECT_THAT(key_json(opened, {"op", "sums"}, "user 17"),
              HasSubstr(R"("value":[{"window_ms":1000,"value":25.5}]})"));
  EXPECT_THAT(key_json(opened, {"op", "counts"}, "nobody"), HasSubstr(R"("value":null})"));
  EXPECT_THROW((void)key_json(opened, {"op", "none"}, "x"), Error);
  EXPECT_THROW(OpenedCheckpoint(storage_.folder(), "9"), Error);
  EXPECT_THROW(OpenedCheckpoint(folder_.path() / "no"), Error);
}

TEST_P(StateTools, TellsWhatDiffers) {
  for (int i = 0; i < 2000; ++i) set("user " + std::to_string(i), i);
  const OpenedCheckpoint a(take(1));
  set("user 5", -1);
  set("new", 1);
  op().counts.erase("user 6");
  op().counts.erase("user 7");
  const OpenedCheckpoint b(take(2));
  const std::string all = difference_json(a, b, {}, 1);
  EXPECT_THAT(all,
              HasSubstr(R"("state":"counts","same":1997,"only_a":2,"only_b":1,"different":1,)"));
  EXPECT_THAT(all, HasSubstr(R"({"key":"user 5","window_ms":null,"a":5,"b":-1})"));
  EXPECT_THAT(all, HasSubstr(R"({"key":"new","window_ms":null,"a":null,"b":1})"));
  EXPECT_THAT(all, HasSubstr(R"({"key":"user 5","window_ms":1000,"a":7.5,"b":-1.5})"));
  const std::string one =
      difference_json(a, b, {.op = "op", .state = "counts", .key = "user 6"}, 5);
  EXPECT_THAT(one,
              HasSubstr(R"("states":[{"operator":"op","state":"counts","same":0,"only_a":1,)"));
  EXPECT_THROW((void)difference_json(a, b, {.op = "nobody", .state = "", .key = ""}, 1), Error);
}

TEST_P(StateTools, CountsWhatIsInPartsAsNeitherTheSameNorDifferent) {
  op().add("x");
  op().add("y");
  const OpenedCheckpoint a(take(1));
  const auto restored = taken_;
  const bool has_parts = std::string(GetParam()) == "rocksdb";
  testing::Attempt<Op> run(make_backend(GetParam(), {.dir = folder_.path() / "again"}), 1, 16,
                           &restored);
  run.op(0).add("x");
  const OpenedCheckpoint b(take(2, run));
  for (const std::string key : {"", "x"}) {
    const std::string found = difference_json(a, b, {.op = "op", .state = "added", .key = key}, 5);
    const std::string same = key.empty() ? "1" : "0";
    EXPECT_THAT(found, HasSubstr("\"same\":" + same + ",\"only_a\":0,\"only_b\":0," +
                                 (has_parts ? "\"different\":0,\"in_parts\":1,"
                                            : "\"different\":1,\"in_parts\":0,")));
  }
}

TEST_P(StateTools, ReadsWithoutWritingAndGoesOnWhenTheCheckpointGoes) {
  for (int i = 0; i < 100; ++i) set("user " + std::to_string(i), i);
  const auto path = take(1);
  const auto files = [&] {
    std::map<std::string, std::filesystem::file_time_type> all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
      all.emplace(entry.path().string(), entry.last_write_time());
    return all;
  };
  const auto before = files();
  const OpenedCheckpoint opened(path);
  EXPECT_THAT(key_json(opened, {"op", "counts"}, "user 3"), HasSubstr(R"("value":3})"));
  EXPECT_EQ(files(), before);
  std::filesystem::remove_all(path);
  EXPECT_THAT(key_json(opened, {"op", "sums"}, "user 4"), HasSubstr(R"("value":6})"));
}

TEST_P(StateTools, NamesADamagedFile) {
  for (int i = 0; i < 100; ++i) set("user " + std::to_string(i), i);
  const auto path = take(1);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path / "state")) {
    if (entry.is_regular_file() && entry.file_size() > 0)
      std::filesystem::resize_file(entry.path(), entry.file_size() - 1);
  }
  try {
    const OpenedCheckpoint opened(path);
    FAIL() << "damage was not seen";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
    EXPECT_THAT(error.what(), HasSubstr("wrong size"));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, StateTools, ::testing::Values("memory", "rocksdb"));

}  // namespace
}  // namespace tidemill::tools
