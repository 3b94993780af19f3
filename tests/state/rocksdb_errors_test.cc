// What the durable backend tells when its files can no longer be merged or written: sources must
// not wait for what never comes, and nobody may be left with a database that has ended.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/error.h"
#include "state/backend.h"
#include "tests/state/attempt.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

constexpr CheckpointId kFilesToMerge = 16;  // as in state/rocksdb_backend.cc
constexpr std::chrono::seconds kLongest{30};

class RocksDbErrors : public ::testing::Test {
 protected:
  RocksDbErrors()
      : backend_(make_backend("rocksdb",
                              {.dir = folder_.path() / "work", .memory = std::size_t{16} << 20})) {
    backend_->restore({}, {});
  }

  // A file of some blocks more.
  void stage(CheckpointId id) {
    SortedRun run;
    for (std::uint64_t n = 0; n < 200; ++n) {
      Bytes key("\1\2", 2);
      append_u64(key, n * 100 + id);
      Bytes value;
      for (int i = 0; i < 64; ++i) append_u64(value, random_());
      run.put(key, value);
    }
    backend_->stage(id, std::move(run));
  }
  std::vector<StoredFile> checkpoint(CheckpointId id) {
    const fs::path folder = folder_.path() / std::to_string(id);
    fs::create_directories(folder);
    return backend_->snapshot(id, folder);
  }
  [[nodiscard]] fs::path in_work_folder(const std::string& name) const {
    for (const auto& entry : fs::directory_iterator(folder_.path() / "work"))
      if (fs::is_directory(entry.path() / name)) return entry.path() / name;
    ADD_FAILURE() << "no " << name;
    return {};
  }
  // In the middle of a table's rows.
  void damage_a_table() const {
    for (const auto& entry : fs::directory_iterator(in_work_folder("db"))) {
      if (entry.path().extension() != ".sst") continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(fs::file_size(entry.path()) / 2));
      file << "damaged";
      return;
    }
    ADD_FAILURE() << "no table";
  }
  [[nodiscard]] std::size_t rows() const {
    std::size_t count = 0;
    backend_->scan({}, [&](ByteView, ByteView) { return ++count > 0; });
    return count;
  }

  std::mt19937_64 random_{1};
  testing::TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_;
};

// What `ask` throws; nothing: it did not within the time.
template <class Ask>
std::string error_of(Ask ask) {
  const auto until = std::chrono::steady_clock::now() + kLongest;
  while (std::chrono::steady_clock::now() < until) {
    try {
      ask();
    } catch (const Error& e) {
      return e.what();
    }
    std::this_thread::yield();
  }
  return "";
}

TEST_F(RocksDbErrors, AMergeThatFailsIsToldAndHoldsNoSourceBack) {
  for (CheckpointId id = 1; id < kFilesToMerge; ++id) {
    stage(id);
    checkpoint(id);
  }
  ASSERT_FALSE(backend_->budget().is_exhausted());
  damage_a_table();
  // Begins the merge of all of them; sources wait while there are so many, unless it has failed
  // already.
  stage(kFilesToMerge);
  checkpoint(kFilesToMerge);
  // Whoever drains a checkpoint asks this first.
  const std::string told = error_of([&] { static_cast<void>(backend_->has_stage_room()); });
  EXPECT_NE(told.find("state files cannot be merged"), std::string::npos) << told;
  EXPECT_FALSE(backend_->budget().is_exhausted());
  // Nor is more taken in by a database that has ended.
  stage(kFilesToMerge + 1);
  const std::string again = error_of([&] { checkpoint(kFilesToMerge + 1); });
  EXPECT_NE(again.find("state files cannot be merged"), std::string::npos) << again;
  EXPECT_FALSE(backend_->budget().is_exhausted());
}

// What could not be written is written with the next checkpoint.
TEST_F(RocksDbErrors, AFileThatCannotBeWrittenIsToldAndTriedAgain) {
  stage(1);
  checkpoint(1);
  const std::size_t before = rows();
  const fs::path folder = in_work_folder("ingest");
  fs::remove_all(folder);
  std::ofstream(folder) << "a file, where a folder should be";
  stage(2);
  EXPECT_THROW(checkpoint(2), Error);
  fs::remove(folder);
  fs::create_directory(folder);
  stage(3);
  checkpoint(3);
  EXPECT_TRUE(backend_->has_stage_room());
  EXPECT_EQ(rows(), before + 400);
}

}  // namespace
}  // namespace tidemill
