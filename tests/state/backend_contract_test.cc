// What every backend promises, checked against an ordered map: random spills, staged runs, range
// deletions, snapshots, restores.
#include <chrono>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <span>
#include <thread>

#include "state/backend.h"
#include "state/parts.h"
#include "tests/state/attempt.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;
using Rows = std::map<Bytes, Bytes>;

class BackendContract : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Backend> make() {
    return make_backend(GetParam(),
                        {.dir = folder_.path() / "work", .memory = std::size_t{16} << 20});
  }
  std::unique_ptr<Backend> started() {
    auto backend = make();
    backend->restore({}, {});
    return backend;
  }
  std::unique_ptr<Backend> restored(const testing::TakenCheckpoint& from) {
    auto backend = make();
    backend->restore(from.folder, from.files);
    return backend;
  }
  testing::TakenCheckpoint snapshot(Backend& backend, CheckpointId id) {
    testing::TakenCheckpoint taken{id, folder_.path() / std::to_string(id), {}, {}};
    fs::create_directories(taken.folder);
    taken.files = backend.snapshot(id, taken.folder);
    return taken;
  }
  static Rows all(const Backend& backend, const Bytes& begin = {}, const Bytes& end = {}) {
    Rows rows;
    const Bytes* last = nullptr;
    backend.scan({begin, end}, [&](ByteView key, ByteView value) {
      if (key.substr(0, 2) == ByteView("\0\0", 2)) return true;  // the registry
      const auto it = rows.emplace(key, value).first;
      EXPECT_TRUE(last == nullptr || *last < it->first) << "scan is out of order";
      last = &it->first;
      return true;
    });
    return rows;
  }

  testing::TemporaryFolder folder_;
};

Bytes key(std::uint64_t n) {
  Bytes out("\1\2", 2);
  append_u64(out, n);
  return out;
}

// A random run over keys below `keys`, applied to `rows` as well.
SortedRun random_run(std::mt19937_64& random, std::uint64_t keys, Rows& rows,
                     std::uint64_t modulus = 1, std::uint64_t remainder = 0) {
  SortedRun run;
  if (random() % 3 == 0) {
    // Only whole multiples of the key space: another part of the same checkpoint may hold the
    // neighbours.
    if (modulus == 1) {
      const std::uint64_t begin = random() % keys;
      const std::uint64_t end = begin + random() % 50;
      run.erase_range({key(begin), key(end)});
      rows.erase(rows.lower_bound(key(begin)), rows.lower_bound(key(end)));
    }
  }
  std::map<Bytes, std::optional<Bytes>> changes;
  for (std::uint64_t i = random() % 60; i > 0; --i) {
    const std::uint64_t n = (random() % keys) / modulus * modulus + remainder;
    if (random() % 4 == 0) {
      changes[key(n)] = std::nullopt;
    } else {
      changes[key(n)] = Bytes(random() % 200, static_cast<char>('a' + random() % 26));
    }
  }
  for (const auto& [k, v] : changes) {
    if (v) {
      run.put(k, *v);
      rows[k] = *v;
    } else {
      run.erase(k);
      rows.erase(k);
    }
  }
  return run;
}

void expect_reads(const Backend& backend, const Rows& rows, std::uint64_t keys) {
  std::vector<Bytes> wanted;
  for (std::uint64_t n = 0; n < keys; ++n) wanted.push_back(key(n));
  const std::vector<ByteView> views(wanted.begin(), wanted.end());
  Rows found;
  backend.multi_get(views, [&](std::size_t i, ByteView value) { found.emplace(wanted[i], value); });
  EXPECT_EQ(found, rows);
  Bytes value;
  for (std::uint64_t n = 0; n < keys; n += 7) {
    const auto it = rows.find(key(n));
    ASSERT_EQ(backend.get(key(n), value), it != rows.end());
    if (it != rows.end()) {
      ASSERT_EQ(value, it->second);
    }
  }
}

TEST_P(BackendContract, AgreesWithAnOrderedMapOverCheckpointsAndRestores) {
  constexpr std::uint64_t kKeys = 300;
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U, 5U, 6U}) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    auto backend = started();
    Rows rows;
    CheckpointId id = 100 * seed;
    for (int round = 0; round < 12; ++round) {
      SCOPED_TRACE(round);
      for (std::uint64_t i = random() % 3; i > 0; --i)
        backend->spill(random_run(random, kKeys, rows));
      EXPECT_EQ(all(*backend), rows);
      const Rows before = rows;
      for (std::uint64_t part = 0; part < 3; ++part) {
        if (random() % 2 == 0) backend->stage(id, random_run(random, kKeys, rows, 3, part));
      }
      EXPECT_EQ(all(*backend), before)
          << "staged changes are invisible until their checkpoint is made";
      EXPECT_FALSE(backend->is_linked(id));
      const auto taken = snapshot(*backend, id);
      EXPECT_TRUE(backend->is_linked(id));
      EXPECT_EQ(all(*backend), rows);
      expect_reads(*backend, rows, kKeys);
      Rows later = rows;
      backend->spill(random_run(random, kKeys, later));
      if (random() % 2 == 0) {
        // What came after the checkpoint is not in it.
        backend = restored(taken);
        EXPECT_EQ(all(*backend), rows);
      } else {
        rows = later;
      }
      ++id;
    }
  }
}

TEST_P(BackendContract, AppliesRangeDeletionsOfAllPartsBeforePuts) {
  auto backend = started();
  Rows rows;
  SortedRun first;
  for (std::uint64_t n = 0; n < 100; ++n) first.put(key(n), "old");
  backend->spill(first);
  SortedRun put;
  put.put(key(5), "new");
  SortedRun erase;
  erase.erase_range({key(0), key(50)});
  erase.put(key(7), "new");
  backend->stage(1, std::move(put));
  backend->stage(1, std::move(erase));
  snapshot(*backend, 1);
  rows = all(*backend);
  EXPECT_EQ(rows.size(), 52U);
  EXPECT_EQ(rows[key(5)], "new");
  EXPECT_EQ(rows[key(7)], "new");
}

TEST_P(BackendContract, TakesStagedPartsOfAnAbandonedCheckpointIntoTheNext) {
  auto backend = started();
  SortedRun a;
  a.put(key(1), "a");
  a.put(key(2), "a");
  SortedRun b;
  b.put(key(2), "b");
  backend->stage(1, std::move(a));
  backend->stage(2, std::move(b));
  auto again = restored(snapshot(*backend, 2));
  EXPECT_EQ(all(*again), (Rows{{key(1), "a"}, {key(2), "b"}}));
}

TEST_P(BackendContract, StagesMoreThanItKeepsInMemory) {
  auto backend = started();
  constexpr std::uint64_t kParts = 40;
  const Bytes value(1000, 'v');
  for (std::uint64_t part = 0; part < kParts; ++part) {
    while (!backend->has_stage_room()) std::this_thread::yield();
    SortedRun run;
    for (std::uint64_t i = 0; i < 500; ++i) run.put(key(i * kParts + part), value);
    backend->stage(3, std::move(run));
  }
  auto again = restored(snapshot(*backend, 3));
  EXPECT_EQ(all(*again).size(), 500 * kParts);
}

TEST_P(BackendContract, SnapshotsShareUnchangedFilesAndStayAsTheyWere) {
  auto backend = started();
  SortedRun run;
  for (std::uint64_t n = 0; n < 1000; ++n) run.put(key(n), "first");
  backend->stage(1, std::move(run));
  const auto first = snapshot(*backend, 1);
  SortedRun more;
  more.put(key(3), "second");
  backend->stage(2, std::move(more));
  const auto second = snapshot(*backend, 2);
  SortedRun gone;
  gone.erase_range({key(0), key(1000)});
  backend->stage(3, std::move(gone));
  const auto third = snapshot(*backend, 3);
  backend.reset();
  EXPECT_EQ(all(*restored(third)).size(), 0U);
  EXPECT_EQ(all(*restored(second))[key(3)], "second");
  // A restore, and work after it, leave the checkpoint's folder alone: it can be restored again.
  for (int i = 0; i < 2; ++i) {
    auto again = restored(first);
    EXPECT_EQ(all(*again)[key(3)], "first");
    SortedRun change;
    change.erase_range({key(0), key(1000)});
    change.put(key(3), "changed");
    again->spill(change);
    EXPECT_EQ(all(*again).size(), 1U);
  }
}

const StateTypes kTypes{stored_type<std::string>(), stored_type<std::int64_t>()};

TEST_P(BackendContract, KeepsStateNumbersOverRestores) {
  auto backend = started();
  const StateId a = backend->state_id({"op", "a"}, "value", kTypes);
  const StateId b = backend->state_id({"op", "b"}, "value", kTypes);
  EXPECT_NE(a, b);
  EXPECT_EQ(backend->state_id({"op", "a"}, "value", kTypes), a);
  const auto taken = snapshot(*backend, 1);
  auto again = restored(taken);
  EXPECT_EQ(again->states(), (std::vector<StateName>{{"op", "a"}, {"op", "b"}}));
  EXPECT_NE(again->state_id({"aa", "first"}, "value", kTypes), a);
  EXPECT_EQ(again->state_id({"op", "b"}, "value", kTypes), b);
  EXPECT_EQ(again->state_id({"op", "a"}, "value", kTypes), a);
  try {
    again->state_id({"op", "a"}, "list", kTypes);
    FAIL() << "another kind of state under the same name was accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kConfig);
    EXPECT_NE(std::string(e.what()).find("op/a"), std::string::npos);
  }
}

TEST_P(BackendContract, RenamesAndDropsStates) {
  auto backend = started();
  const StateId a = backend->state_id({"op", "a"}, "value", kTypes);
  const StateId b = backend->state_id({"op", "b"}, "value", kTypes);
  SortedRun rows;
  rows.put(key_prefix(a) + "row", "of a");
  rows.put(key_prefix(b) + "row", "of b");
  backend->spill(rows);
  EXPECT_TRUE(backend->unused_states().empty());
  auto renamed = restored(snapshot(*backend, 1));
  EXPECT_EQ(renamed->unused_states(), (std::vector<StateName>{{"op", "a"}, {"op", "b"}}));
  renamed->rename_state({"op", "b"}, {"later", "c"});
  EXPECT_EQ(renamed->state_id({"later", "c"}, "value", kTypes), b);
  EXPECT_EQ(renamed->unused_states(), (std::vector<StateName>{{"op", "a"}}));
  EXPECT_TRUE(renamed->has_state({"op", "a"}));
  EXPECT_FALSE(renamed->has_state({"op", "b"}));
  renamed->drop_state({"op", "a"});
  auto again = restored(snapshot(*renamed, 2));
  EXPECT_EQ(again->states(), (std::vector<StateName>{{"later", "c"}}));
  EXPECT_EQ(again->state_id({"later", "c"}, "value", kTypes), b);
  Bytes value;
  EXPECT_FALSE(again->get(key_prefix(a) + "row", value));
  EXPECT_TRUE(again->get(key_prefix(b) + "row", value));
  EXPECT_EQ(value, "of b");
}

TEST_P(BackendContract, RefusesADamagedCheckpointAndNamesTheFile) {
  auto backend = started();
  SortedRun run;
  std::mt19937_64 random(1);
  for (std::uint64_t n = 0; n < 5000; ++n) run.put(key(n), std::to_string(random()));
  backend->stage(1, std::move(run));
  const auto taken = snapshot(*backend, 1);
  backend.reset();
  ASSERT_FALSE(taken.files.empty());
  const auto expect_refused = [&](const StoredFile& file, const char* how) {
    try {
      restored(taken);
      FAIL() << "accepted with " << file.name << " " << how;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kCorrupt) << e.what();
      EXPECT_NE(std::string(e.what()).find(file.name), std::string::npos) << e.what();
    }
  };
  for (const StoredFile& file : taken.files) {
    SCOPED_TRACE(file.name);
    const fs::path path = taken.folder / file.name;
    const fs::path aside = folder_.path() / "aside";
    fs::copy_file(path, aside);
    for (const std::uint64_t at : {std::uint64_t{0}, file.size / 2, file.size - 1}) {
      std::fstream damaged(path, std::ios::in | std::ios::out | std::ios::binary);
      damaged.seekg(static_cast<std::streamoff>(at));
      const char byte = static_cast<char>(damaged.get() ^ 0x10);
      damaged.seekp(static_cast<std::streamoff>(at));
      damaged.put(byte);
      damaged.close();
      expect_refused(file, "bit-flipped");
      fs::copy_file(aside, path, fs::copy_options::overwrite_existing);
    }
    fs::resize_file(path, file.size - 1);
    expect_refused(file, "torn");
    fs::remove(path);
    expect_refused(file, "missing");
    fs::rename(aside, path);
  }
  EXPECT_EQ(all(*restored(taken)).size(), 5000U);
}

TEST_P(BackendContract, ServesManyThreads) {
  auto backend = started();
  std::vector<std::jthread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Bytes value;
      for (std::uint64_t round = 0; round < 10; ++round) {
        SortedRun run;
        for (std::uint64_t n = 0; n < 50; ++n) run.put(key(t * 1000 + n), std::to_string(round));
        backend->spill(run);
        for (std::uint64_t n = 0; n < 50; ++n) {
          ASSERT_TRUE(backend->get(key(t * 1000 + n), value));
          ASSERT_EQ(value, std::to_string(round));
        }
        SortedRun later;
        later.put(key(t * 1000 + 100 + round), "x");
        backend->stage(1 + round, std::move(later));
      }
    });
  }
  for (CheckpointId id = 1; id < 5; ++id) snapshot(*backend, id);
  threads.clear();
  snapshot(*backend, 100);
  EXPECT_EQ(all(*backend).size(), 4U * 60);
}

INSTANTIATE_TEST_SUITE_P(Backends, BackendContract, ::testing::Values("memory", "rocksdb"),
                         [](const auto& test) { return std::string(test.param); });

TEST(RocksDbBackendOnAFullDisk, KeepsWhatItCouldNotStoreForTheNextCheckpoint) {
  const testing::TemporaryFolder folder;
  const auto make = [&] {
    return make_backend("rocksdb",
                        {.dir = folder.path() / "work", .memory = std::size_t{16} << 20});
  };
  auto backend = make();
  backend->restore({}, {});
  const auto put = [&](CheckpointId id, std::uint64_t n) {
    SortedRun run;
    run.put(key(n), "value");
    backend->stage(id, std::move(run));
  };
  const auto snapshot = [&](CheckpointId id) {
    const fs::path target = folder.path() / std::to_string(id);
    fs::create_directories(target);
    return backend->snapshot(id, target);
  };
  fs::path files;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path() / "work")) {
    if (entry.path().filename() == "ingest") files = entry.path();
  }
  ASSERT_FALSE(files.empty());
  put(1, 1);
  fs::rename(files, folder.path() / "aside");
  try {
    snapshot(1);
    FAIL() << "there was no place to write a file";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kIo) << e.what();
  }
  EXPECT_FALSE(backend->is_linked(1));
  fs::rename(folder.path() / "aside", files);
  put(2, 2);
  const auto stored = snapshot(2);
  backend.reset();
  backend = make();
  backend->restore(folder.path() / "2", stored);
  Bytes value;
  EXPECT_TRUE(backend->get(key(1), value));
  EXPECT_TRUE(backend->get(key(2), value));
}

// Files of the same 500 keys, until there are more than are merged at once.
bool spill_until_behind(Backend& backend) {
  for (int file = 0; file < 1000 && !backend.budget().is_exhausted(); ++file) {
    SortedRun run;
    for (std::uint64_t n = 0; n < 500; ++n) run.put_part(key(n), Bytes(200, 'p'));
    backend.spill(run);
  }
  return backend.budget().is_exhausted();
}
bool catches_up(Backend& backend) {
  for (int n = 0; n < 6000 && backend.budget().is_exhausted(); ++n)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return !backend.budget().is_exhausted();
}

TEST(RocksDbBackend, IsExhaustedWhileMergingIsBehind) {
  const testing::TemporaryFolder folder;
  const auto backend = make_backend("rocksdb", {.dir = folder.path()});
  backend->restore({}, {});
  EXPECT_TRUE(spill_until_behind(*backend));
  EXPECT_TRUE(catches_up(*backend));
}

// They are of a type that the state had, and lie under those that were converted.
TEST(RocksDbBackend, PartsThatCannotBeMergedAreKept) {
  const testing::TemporaryFolder folder;
  const auto backend = make_backend("rocksdb", {.dir = folder.path()});
  backend->restore({}, {});
  EXPECT_TRUE(backend->take_parts(0x0102, [](std::span<const ByteView>, Bytes& out) {
    out = "half";
    throw Error(ErrorCode::kCorrupt, "not of this type");
  }));
  for (int round = 0; round < 3; ++round) {
    EXPECT_TRUE(spill_until_behind(*backend));
    EXPECT_TRUE(catches_up(*backend));
  }
  SortedRun newer;
  newer.put(key(1), "converted");
  backend->spill(newer);
  Bytes value;
  ASSERT_TRUE(backend->get(key(1), value));
  EXPECT_EQ(value, "converted");
  ASSERT_TRUE(backend->get(key(2), value));
  ASSERT_TRUE(is_in_parts(value));
  ByteReader parts(ByteView(value).substr(1));
  EXPECT_EQ(next_part(parts), Bytes(200, 'p'));
}

TEST(MakeBackend, KnowsItsKinds) {
  try {
    make_backend("leveldb", {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kConfig);
  }
}

}  // namespace
}  // namespace tidemill
