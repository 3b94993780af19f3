// The writer against a real server: values, order, guard.
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "connectors/redis/writer.h"
#include "engine/base/metrics.h"
#include "tests/connectors/redis/writer_harness.h"

namespace tidemill {
namespace {

class RedisWriterOnServer : public testing::Test {
 protected:
  RedisWriterOnServer() : reader_(server_.port()) {}

  RedisWriterSettings settings() const { return quick_settings(server_.url()); }

  // How often the server ran a command.
  int calls(const std::string& command) {
    const std::string stats = reader_.ask({"INFO", "commandstats"}).value();
    const std::size_t at = stats.find("cmdstat_" + command + ":calls=");
    return at == std::string::npos ? 0 : std::stoi(stats.substr(at + command.size() + 15));
  }

  SystemClock clock_;
  RedisServer server_;
  PlainClient reader_;
};

TEST_F(RedisWriterOnServer, WritesExpiresAndDeletes) {
  RedisWriterSettings with_prefix = settings();
  with_prefix.key_prefix = "features:";
  Histogram latency;
  RedisWriter writer(with_prefix, writer_name(), clock_, &latency);
  const std::string odd("\0\r\n\"ü", 6);
  writer.set("u1", json_row(1), 60s, time_of(1));
  writer.set("u2", json_row(2), 1500ms, time_of(2));
  writer.set("u3", json_row(3), 0ms, time_of(3));
  writer.set(odd, odd, 60s, time_of(4));
  writer.set("gone", json_row(5), 60s, time_of(5));
  writer.del("gone", time_of(6));
  writer.del("never there", time_of(6));
  ASSERT_TRUE(flush(writer));

  EXPECT_EQ(reader_.get("features:u1"), json_row(1));
  EXPECT_EQ(reader_.get("features:" + odd), odd);
  EXPECT_EQ(reader_.get("features:gone"), std::nullopt);
  const int ttl = std::stoi(reader_.ask({"TTL", "features:u1"}).value());
  EXPECT_GT(ttl, 30);
  EXPECT_LE(ttl, 60);
  EXPECT_LE(std::stoi(reader_.ask({"TTL", "features:u2"}).value()), 2);
  EXPECT_EQ(reader_.ask({"TTL", "features:u3"}), "-1");
  EXPECT_EQ(reader_.ask({"DBSIZE"}), "4");
  EXPECT_EQ(writer.counts().written, 7u);
  EXPECT_EQ(latency.count(), 7u);
}

TEST_F(RedisWriterOnServer, RenewsTheTtlWithEachWrite) {
  RedisWriter writer(settings(), writer_name(), clock_, nullptr);
  writer.set("k", json_row(1), 10s, time_of(1));
  writer.set("k", json_row(2), 1000s, time_of(2));
  ASSERT_TRUE(flush(writer));
  EXPECT_GT(std::stoi(reader_.ask({"TTL", "k"}).value()), 500);
}

TEST_F(RedisWriterOnServer, WritesIntoTheDatabaseOfTheUrl) {
  RedisWriter writer(quick_settings(server_.url() + "/3"), writer_name(), clock_, nullptr);
  put(writer, "k", 1);
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(reader_.get("k"), std::nullopt);
  reader_.ask({"SELECT", "3"});
  EXPECT_EQ(reader_.get("k"), json_row(1));
}

TEST_F(RedisWriterOnServer, KeepsTheOrderOfManyRows) {
  RedisWriter writer(settings(), writer_name(), clock_, nullptr);
  constexpr int kKeys = 500;
  for (int n = 0; n < 30'000; ++n) {
    put(writer, "k" + std::to_string(n % kKeys), n);
    if (!writer.is_full()) continue;
    ASSERT_TRUE(eventually([&] {
      writer.wait(5ms);
      return !writer.is_full();
    }));
  }
  ASSERT_TRUE(flush(writer));
  for (int k = 0; k < kKeys; ++k)
    EXPECT_EQ(number_of(reader_.get("k" + std::to_string(k))), 29'500 + k);
  EXPECT_EQ(writer.counts().written, 30'000u);
}

TEST_F(RedisWriterOnServer, NeverReplacesANewerRow) {
  reader_.ask({"SET", "newer", json_row(10)});
  reader_.ask(
      {"SET", "equal",
       R"({"n":5, "extra":{"computed_at":"2099-01-01T00:00:00.000Z"}, "computed_at":"2026-01-01T00:00:00.005Z"})"});
  reader_.ask({"SET", "older", json_row(4)});
  reader_.ask({"SET", "newer_ms", R"({"computed_at":1767225600010})"});
  reader_.ask({"SET", "older_ms", R"({"computed_at":1767225600004})"});
  reader_.ask({"SET", "to_delete_newer", json_row(10)});
  reader_.ask({"SET", "to_delete_equal", json_row(5)});

  RedisWriter writer(settings(), writer_name(), clock_, nullptr);
  for (const char* key : {"newer", "equal", "older", "newer_ms", "older_ms"}) put(writer, key, 5);
  writer.del("to_delete_newer", time_of(5));
  writer.del("to_delete_equal", time_of(5));
  ASSERT_TRUE(flush(writer));

  EXPECT_EQ(number_of(reader_.get("newer")), 10);
  EXPECT_EQ(reader_.get("equal"), json_row(5));
  EXPECT_EQ(reader_.get("older"), json_row(5));
  EXPECT_EQ(reader_.get("newer_ms"), R"({"computed_at":1767225600010})");
  EXPECT_EQ(reader_.get("older_ms"), json_row(5));
  EXPECT_EQ(number_of(reader_.get("to_delete_newer")), 10);
  EXPECT_EQ(reader_.get("to_delete_equal"), std::nullopt);
  EXPECT_EQ(writer.counts().stale, 3u);
  EXPECT_EQ(writer.counts().written, 4u);
}

TEST_F(RedisWriterOnServer, ReplacesWhatHoldsNoTime) {
  const std::vector<std::string> values = {"no json",
                                           "[1]",
                                           "17",
                                           "null",
                                           "{}",
                                           R"({"computed_at":null})",
                                           R"({"computed_at":"yesterday"})",
                                           R"({"computed_at":{"a":1}})",
                                           R"({"computed_at":"2026-01-01T00:00:00Z"})",
                                           "{\"computed_at\":",
                                           ""};
  for (std::size_t i = 0; i < values.size(); ++i)
    reader_.ask({"SET", "k" + std::to_string(i), values[i]});
  reader_.ask({"HSET", "a_hash", "f", "v"});
  RedisWriter writer(settings(), writer_name(), clock_, nullptr);
  for (std::size_t i = 0; i < values.size(); ++i) put(writer, "k" + std::to_string(i), 5);
  put(writer, "a_hash", 5);
  ASSERT_TRUE(flush(writer));
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(reader_.get("k" + std::to_string(i)), json_row(5)) << values[i];
  EXPECT_EQ(reader_.get("a_hash"), json_row(5));
}

TEST_F(RedisWriterOnServer, ComparesAcrossDaysAndBeyondTheYear9999) {
  reader_.ask({"SET", "day", R"({"computed_at":"2025-12-31T23:59:59.999Z"})"});
  reader_.ask({"SET", "far", R"({"computed_at":"+12026-01-01T00:00:00.000Z"})"});
  RedisWriter writer(settings(), writer_name(), clock_, nullptr);
  put(writer, "day", 0);
  put(writer, "far", 0);
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(reader_.get("day"), json_row(0));
  EXPECT_EQ(reader_.get("far"), json_row(0));  // such years are not compared
}

TEST_F(RedisWriterOnServer, GuardsAKeyOnlyUntilItsRowIsOurs) {
  reader_.ask({"SET", "k", json_row(3)});
  RedisWriter writer(settings(), writer_name(), clock_, nullptr);
  for (int n = 1; n <= 2; ++n) {
    put(writer, "k", n);
    ASSERT_TRUE(flush(writer));
    EXPECT_EQ(number_of(reader_.get("k")), 3);
  }
  EXPECT_EQ(calls("evalsha"), 2);
  put(writer, "k", 4);
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(calls("evalsha"), 3);
  const int setex_of_the_script = calls("setex");
  for (int n = 5; n <= 9; ++n) put(writer, "k", n);
  writer.del("k", time_of(10));
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(calls("evalsha"), 3);
  EXPECT_EQ(calls("setex"), setex_of_the_script + 5);
  EXPECT_EQ(reader_.get("k"), std::nullopt);
}

TEST_F(RedisWriterOnServer, GuardsEveryKeyBeyondItsMemory) {
  RedisWriterSettings small = settings();
  small.max_own_keys = 2;
  RedisWriter writer(small, writer_name(), clock_, nullptr);
  for (int round = 0; round < 3; ++round) {
    for (int k = 0; k < 4; ++k) put(writer, "k" + std::to_string(k), round);
    ASSERT_TRUE(flush(writer));
  }
  EXPECT_EQ(calls("evalsha"), 4 + 2 + 2);
}

TEST_F(RedisWriterOnServer, GuardsAlwaysOrNever) {
  reader_.ask({"SET", "k", json_row(3)});
  RedisWriterSettings mode = settings();
  mode.guard = RedisGuard::kAlways;
  {
    RedisWriter writer(mode, writer_name(), clock_, nullptr);
    for (int n = 2; n <= 5; ++n) put(writer, "k", n);
    ASSERT_TRUE(flush(writer));
    put(writer, "k", 6);
    ASSERT_TRUE(flush(writer));
    EXPECT_EQ(calls("evalsha"), 5);
  }
  mode.guard = RedisGuard::kNone;
  RedisWriter writer(mode, writer_name(), clock_, nullptr);
  put(writer, "k", 1);
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(number_of(reader_.get("k")), 1);
  EXPECT_EQ(calls("evalsha"), 5);
}

TEST_F(RedisWriterOnServer, ComparesTheFieldItIsTold) {
  reader_.ask({"SET", "k", R"({"at":"2026-01-01T00:00:00.010Z"})"});
  RedisWriterSettings other = settings();
  other.guard_field = "at";
  RedisWriter writer(other, writer_name(), clock_, nullptr);
  put(writer, "k", 5);
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(writer.counts().stale, 1u);
}

// A job that is killed again and again and replays from an earlier row each time: whoever reads
// meanwhile never sees a key go back, and in the end every key holds its last row.
TEST_F(RedisWriterOnServer, ReadersSeeNoRollBackWhenRowsAreReplayed) {
  const int given = testing::UnitTest::GetInstance()->random_seed();
  const unsigned seed = given != 0 ? static_cast<unsigned>(given) : std::random_device{}();
  SCOPED_TRACE("--gtest_random_seed=" + std::to_string(seed));
  std::mt19937 random(seed);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  constexpr int kRows = 2000;
  std::vector<std::string> keys(kRows);
  for (std::string& key : keys) key = "k" + std::to_string(below(20));

  std::map<std::string, std::int64_t> seen;
  const auto look = [&] {
    const std::string key = "k" + std::to_string(below(20));
    const auto number = number_of(reader_.get(key));
    const auto before = seen.find(key);
    if (before == seen.end()) {
      if (number) seen[key] = *number;
      return;
    }
    ASSERT_TRUE(number) << key << " is gone";
    ASSERT_GE(*number, before->second) << key << " went back";
    before->second = *number;
  };

  std::uint64_t epoch = 1;
  for (int from = 0; from < kRows; ++epoch) {
    RedisWriter writer(settings(), writer_name(epoch), clock_, nullptr);
    const int crash_at = epoch < 15 ? std::min(kRows, from + below(400)) : kRows;
    RedisWriter::Mark checkpoint = 0;
    int checkpoint_row = from;
    int restart_from = from;
    for (int n = from; n < crash_at; ++n) {
      put(writer, keys[static_cast<std::size_t>(n)], n);
      if (below(3) == 0) writer.poll();
      if (below(5) == 0) look();
      if (HasFatalFailure()) return;
      if (below(100) == 0) {
        checkpoint = writer.mark();
        checkpoint_row = n + 1;
      }
      if (checkpoint != 0 && writer.flushed_up_to(checkpoint)) restart_from = checkpoint_row;
    }
    if (crash_at == kRows) {
      ASSERT_TRUE(flush(writer));
      break;
    }
    from = restart_from;  // and the rows after it come again
  }
  std::map<std::string, std::int64_t> expected;
  for (int n = 0; n < kRows; ++n) expected[keys[static_cast<std::size_t>(n)]] = n;
  for (const auto& [key, number] : expected) EXPECT_EQ(number_of(reader_.get(key)), number) << key;
}

TEST_F(RedisWriterOnServer, OfTwoProcessesTheYoungerOneWrites) {
  RedisWriter older(settings(), writer_name(1), clock_, nullptr);
  put(older, "k", 1);
  ASSERT_TRUE(flush(older));
  RedisWriter younger(settings(), writer_name(2), clock_, nullptr);
  put(younger, "k", 5);
  ASSERT_TRUE(flush(younger));

  put(older, "k", 2);  // the guard would let it: the key is its own
  const auto error = error_of_polling(older);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kFenced);
  EXPECT_EQ(number_of(reader_.get("k")), 5);
  put(younger, "k", 6);
  ASSERT_TRUE(flush(younger));
  EXPECT_EQ(younger.reconnects(), 0u);
}

TEST_F(RedisWriterOnServer, SubtasksDoNotDisturbEachOther) {
  RedisWriter first(settings(), writer_name(1, 0), clock_, nullptr);
  RedisWriter second(settings(), writer_name(1, 1), clock_, nullptr);
  for (int n = 0; n < 10; ++n) {
    put(first, "a", n);
    put(second, "b", n);
    ASSERT_TRUE(flush(first) && flush(second));
  }
  EXPECT_EQ(first.reconnects() + second.reconnects(), 0u);
}

}  // namespace
}  // namespace tidemill
