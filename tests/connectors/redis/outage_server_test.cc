// What the writer does while a real server is away, silent, full, read-only or unwilling.
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "connectors/redis/writer.h"
#include "tests/connectors/redis/holding_proxy.h"
#include "tests/connectors/redis/writer_harness.h"

namespace tidemill {
namespace {

const SystemClock kClock;

// Polls until the writer holds nothing back, with rows coming in between.
void write_rows(RedisWriter& writer, int from, int to) {
  for (int n = from; n < to; ++n) {
    put(writer, "k" + std::to_string(n), n);
    if (n % 64 == 0) writer.poll();
  }
}

int present(PlainClient& reader, int from, int to) {
  int count = 0;
  for (int n = from; n < to; ++n)
    count += number_of(reader.get("k" + std::to_string(n))) == n ? 1 : 0;
  return count;
}

TEST(RedisOutage, NothingUnacknowledgedIsLostWhenTheServerIsKilled) {
  RedisServer server;
  RedisWriter writer(quick_settings(server.url()), writer_name(), kClock, nullptr);
  write_rows(writer, 0, 3000);
  ASSERT_TRUE(eventually([&] {
    writer.poll();
    return writer.counts().written > 0;
  }));
  server.kill();
  ASSERT_TRUE(eventually([&] {
    writer.poll();
    return !writer.is_connected();
  }));
  const auto acknowledged = static_cast<int>(writer.counts().written);
  write_rows(writer, 3000, 5000);
  EXPECT_FALSE(writer.flushed_up_to(writer.mark()));
  server.start();  // empty
  ASSERT_TRUE(flush(writer));
  PlainClient reader(server.port());
  EXPECT_EQ(present(reader, acknowledged, 5000), 5000 - acknowledged);
  EXPECT_GE(writer.reconnects(), 1u);
}

TEST(RedisOutage, NothingAtAllIsLostWhenTheServerKeepsItsData) {
  RedisServer server({"--appendonly", "yes", "--appendfsync", "always"});
  RedisWriter writer(quick_settings(server.url()), writer_name(), kClock, nullptr);
  for (int round = 0; round < 3; ++round) {
    write_rows(writer, round * 1000, round * 1000 + 700);
    server.kill();
    write_rows(writer, round * 1000 + 700, round * 1000 + 1000);
    server.start();
  }
  ASSERT_TRUE(flush(writer));
  PlainClient reader(server.port());
  EXPECT_EQ(present(reader, 0, 3000), 3000);
}

TEST(RedisOutage, WaitsForAServerThatIsNotThereYet) {
  RedisServer server;
  server.kill();
  RedisWriter writer(quick_settings(server.url()), writer_name(), kClock, nullptr);
  write_rows(writer, 0, 100);
  EXPECT_FALSE(eventually(
      [&] {
        writer.wait(5ms);
        return writer.is_connected();
      },
      200ms));
  server.start();
  ASSERT_TRUE(flush(writer));
}

TEST(RedisOutage, GivesUpAfterTheTimeSet) {
  RedisServer server;
  server.kill();
  RedisWriterSettings settings = quick_settings(server.url());
  settings.give_up_after = 300ms;
  RedisWriter writer(settings, writer_name(), kClock, nullptr);
  // Without rows there is nothing to give up.
  EXPECT_FALSE(error_of_polling(writer, 500ms));
  put(writer, "k", 1);
  const auto error = error_of_polling(writer);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kIo);
  EXPECT_NE(std::string(error->what()).find("Connection refused"), std::string::npos)
      << error->what();
}

TEST(RedisOutage, ASilentServerMeansBackPressureNotMemory) {
  RedisServer server;
  RedisWriterSettings settings = quick_settings(server.url());
  settings.max_rows = 1000;
  RedisWriter writer(settings, writer_name(), kClock, nullptr);
  put(writer, "first", 0);
  ASSERT_TRUE(flush(writer));

  server.freeze();
  int written = 0;
  const auto deadline = std::chrono::steady_clock::now() + 500ms;
  auto longest = std::chrono::steady_clock::duration::zero();
  while (std::chrono::steady_clock::now() < deadline) {
    if (!writer.is_full()) put(writer, "k" + std::to_string(written), written), ++written;
    const auto before = std::chrono::steady_clock::now();
    writer.poll();
    longest = std::max(longest, std::chrono::steady_clock::now() - before);
  }
  EXPECT_TRUE(writer.is_full());
  EXPECT_EQ(writer.waiting(), 1000u);
  EXPECT_LT(longest, 400ms) << "poll waited for the server";
  EXPECT_FALSE(writer.flushed_up_to(writer.mark()));

  server.thaw();
  ASSERT_TRUE(flush(writer));
  PlainClient reader(server.port());
  EXPECT_EQ(present(reader, 0, written), written);
  EXPECT_EQ(writer.reconnects(), 0u);
}

TEST(RedisOutage, ABoundOnBytesHoldsToo) {
  RedisServer server;
  RedisWriterSettings settings = quick_settings(server.url());
  settings.max_bytes = 100'000;
  RedisWriter writer(settings, writer_name(), kClock, nullptr);
  const std::string value(10'000, 'v');
  int rows = 0;
  for (; !writer.is_full(); ++rows) writer.set("k", value, 1h, time_of(rows));
  EXPECT_EQ(rows, 10);
  ASSERT_TRUE(flush(writer));
  EXPECT_FALSE(writer.is_full());
}

TEST(RedisOutage, AServerSilentForTooLongIsReachedAgain) {
  RedisServer server;
  RedisWriterSettings settings = quick_settings(server.url());
  settings.server.response_timeout = 100ms;
  RedisWriter writer(settings, writer_name(), kClock, nullptr);
  put(writer, "k", 0);
  ASSERT_TRUE(flush(writer));
  server.freeze();
  for (int n = 1; n <= 1000; ++n) put(writer, "k", n);
  EXPECT_TRUE(eventually([&] {
    writer.wait(5ms);
    return !writer.is_connected();
  }));
  server.thaw();
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(number_of(PlainClient(server.port()).get("k")), 1000);
}

// What an abandoned connection had sent arrives after newer rows of the connection that followed
// it.
void deliver_late(std::optional<RedisWriterName> name, bool& was_open,
                  std::optional<std::int64_t>& last) {
  RedisServer server;
  HoldingProxy network(server.port());
  RedisWriterSettings settings =
      quick_settings("redis://127.0.0.1:" + std::to_string(network.port()));
  settings.server.response_timeout = 200ms;
  RedisWriter writer(settings, std::move(name), kClock, nullptr);
  const auto flush_through = [&] {
    const RedisWriter::Mark all = writer.mark();
    return eventually([&] {
      network.step();
      writer.poll();
      return writer.flushed_up_to(all);
    });
  };
  put(writer, "k", 0);
  ASSERT_TRUE(flush_through());

  network.hold();
  for (int n = 1; n <= 100; ++n) put(writer, "k", n);
  ASSERT_TRUE(flush_through());  // over a second connection
  put(writer, "k", 200);
  ASSERT_TRUE(flush_through());
  EXPECT_GT(network.held_bytes(), 1000u);
  EXPECT_EQ(writer.counts().resent, 100u);

  PlainClient reader(server.port());
  ASSERT_EQ(number_of(reader.get("k")), 200);
  was_open = network.release();
  // The server takes commands of other connections only after those that have arrived.
  for (int i = 0; i < 50; ++i) reader.ask({"PING"});
  last = number_of(reader.get("k"));
}

TEST(RedisOutage, AnAbandonedConnectionCannotUndoWhatCameLater) {
  bool was_open = true;
  std::optional<std::int64_t> last;
  deliver_late(writer_name(), was_open, last);
  EXPECT_FALSE(was_open);
  EXPECT_EQ(last, 200);
}

// The danger is real: without names, nothing closes the old connection.
TEST(RedisOutage, WithoutTheFenceAnAbandonedConnectionWouldUndoIt) {
  bool was_open = false;
  std::optional<std::int64_t> last;
  deliver_late(std::nullopt, was_open, last);
  EXPECT_TRUE(was_open);
  EXPECT_EQ(last, 100);
}

TEST(RedisOutage, AFullServerIsWaitedFor) {
  RedisServer server({"--maxmemory", "3mb", "--maxmemory-policy", "noeviction"});
  RedisWriterSettings settings = quick_settings(server.url());
  settings.max_bytes = 64u << 20;
  settings.give_up_after = 0ms;  // never
  RedisWriter writer(settings, writer_name(), kClock, nullptr);
  const std::string padding(1000, 'x');
  for (int n = 0; n < 5000; ++n)
    writer.set("k" + std::to_string(n), json_row(n) + padding, 1h, time_of(n));
  EXPECT_FALSE(error_of_polling(writer, 1s));
  EXPECT_GT(writer.waiting(), 0u);
  PlainClient reader(server.port());
  reader.ask({"CONFIG", "SET", "maxmemory", "0"});
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(reader.ask({"DBSIZE"}), "5000");
  EXPECT_EQ(writer.counts().refused, 0u);
}

TEST(RedisOutage, AFullServerStopsTheJobInTheEndAndSaysWhy) {
  RedisServer server({"--maxmemory", "1", "--maxmemory-policy", "noeviction"});
  RedisWriterSettings settings = quick_settings(server.url());
  settings.give_up_after = 300ms;
  RedisWriter writer(settings, writer_name(), kClock, nullptr);
  put(writer, "k", 1);
  const auto error = error_of_polling(writer);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kIo);
  EXPECT_NE(std::string(error->what()).find("raise the server's maxmemory"), std::string::npos)
      << error->what();
}

TEST(RedisOutage, AReplicaIsWaitedForUntilItIsPromoted) {
  RedisServer server;
  PlainClient admin(server.port());
  RedisWriter writer(quick_settings(server.url()), writer_name(), kClock, nullptr);
  put(writer, "k", 1);
  ASSERT_TRUE(flush(writer));
  admin.ask({"REPLICAOF", "127.0.0.1", "1"});
  put(writer, "k", 2);
  put(writer, "l", 2);
  EXPECT_FALSE(error_of_polling(writer, 300ms));
  EXPECT_FALSE(writer.flushed_up_to(writer.mark()));
  admin.ask({"REPLICAOF", "NO", "ONE"});
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(number_of(admin.get("k")), 2);
}

TEST(RedisOutage, AForgottenScriptIsLoadedAgain) {
  RedisServer server;
  PlainClient admin(server.port());
  RedisWriter writer(quick_settings(server.url()), writer_name(), kClock, nullptr);
  for (int round = 0; round < 5; ++round) {
    write_rows(writer, round * 500, round * 500 + 250);
    admin.ask({"SCRIPT", "FLUSH"});
    write_rows(writer, round * 500 + 250, round * 500 + 500);
  }
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(present(admin, 0, 2500), 2500);
}

TEST(RedisOutage, ConnectionsThatAreKilledComeBack) {
  RedisServer server;
  PlainClient admin(server.port());
  RedisWriter writer(quick_settings(server.url()), writer_name(), kClock, nullptr);
  for (int round = 0; round < 10; ++round) {
    write_rows(writer, round * 200, round * 200 + 200);
    admin.ask({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  }
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(present(admin, 0, 2000), 2000);
  EXPECT_EQ(writer.counts().written + writer.counts().stale, 2000u);
}

TEST(RedisLogin, PasswordFromFileOrEnvironment) {
  RedisServer server({"--requirepass", "s3cret"});
  RedisWriterSettings settings = quick_settings(server.url());
  const std::string file = (server.folder() / "password").string();
  std::ofstream(file) << "s3cret\n";
  settings.server.password_file = file;
  {
    RedisWriter writer(settings, writer_name(), kClock, nullptr);
    put(writer, "k", 1);
    ASSERT_TRUE(flush(writer));
  }
  settings.server.password_file = "";
  settings.server.password_env = "TIDEMILL_TEST_REDIS_PASSWORD";
  setenv("TIDEMILL_TEST_REDIS_PASSWORD", "s3cret", 1);
  RedisWriter writer(settings, writer_name(), kClock, nullptr);
  unsetenv("TIDEMILL_TEST_REDIS_PASSWORD");
  put(writer, "k", 2);
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(number_of(PlainClient(server.port(), "s3cret").get("k")), 2);
}

TEST(RedisLogin, AWrongOrMissingPasswordStopsAtOnce) {
  RedisServer server({"--requirepass", "s3cret"});
  RedisWriter missing(quick_settings(server.url()), writer_name(), kClock, nullptr);
  const auto none = error_of_polling(missing);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->code(), ErrorCode::kConfig);
  EXPECT_NE(std::string(none->what()).find("password_file"), std::string::npos) << none->what();

  RedisWriter wrong(quick_settings(server.url(":guess@")), writer_name(), kClock, nullptr);
  const auto refused = error_of_polling(wrong);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code(), ErrorCode::kConfig);
  EXPECT_EQ(std::string(refused->what()).find("guess"), std::string::npos);
}

TEST(RedisLogin, AUserWithTheRightsOfTheReadmeIsEnough) {
  RedisServer server;
  PlainClient admin(server.port());
  admin.ask({"ACL", "SETUSER", "writer", "on", ">p", "~features:*", "-@all", "+setex", "+set",
             "+get", "+del", "+evalsha", "+script|load", "+client|list", "+client|kill",
             "+client|setname", "+info", "+select"});
  RedisWriterSettings settings = quick_settings(server.url("writer:p@"));
  settings.key_prefix = "features:";
  RedisWriter writer(settings, writer_name(), kClock, nullptr);
  for (int n = 0; n < 5; ++n) {
    put(writer, "k", n);
    ASSERT_TRUE(flush(writer));
  }
  EXPECT_EQ(number_of(admin.get("features:k")), 4);
}

TEST(RedisLogin, AUserWithoutTheRightToTheKeysStopsTheJob) {
  RedisServer server;
  PlainClient(server.port()).ask({"ACL", "SETUSER", "writer", "on", ">p", "~other:*", "+@all"});
  RedisWriter writer(quick_settings(server.url("writer:p@")), writer_name(), kClock, nullptr);
  put(writer, "k", 1);
  const auto error = error_of_polling(writer);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kConfig);
  EXPECT_NE(std::string(error->what()).find("NOPERM"), std::string::npos) << error->what();
}

TEST(RedisOutage, AClusterIsRefusedWithAReason) {
  RedisServer server({"--cluster-enabled", "yes", "--cluster-port", std::to_string(free_port())});
  RedisWriter writer(quick_settings(server.url()), writer_name(), kClock, nullptr);
  put(writer, "k", 1);
  const auto error = error_of_polling(writer);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kConfig);
  EXPECT_NE(std::string(error->what()).find("Cluster"), std::string::npos) << error->what();
}

TEST(RedisOutage, RefusedRowsCountAgainstTheErrorBudget) {
  RedisServer server({"--rename-command", "SETEX", ""});
  RedisWriterSettings settings = quick_settings(server.url());
  settings.guard = RedisGuard::kNone;
  settings.errors.errors_per_minute = 2;
  RedisWriter writer(settings, writer_name(), kClock, nullptr);
  put(writer, "a", 1);
  put(writer, "b", 1);
  writer.set("c", json_row(1), 0ms, time_of(1));  // SET is still there
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(writer.counts().refused, 2u);
  EXPECT_EQ(writer.counts().written, 1u);
  put(writer, "d", 1);
  const auto error = error_of_polling(writer);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kIo);
  EXPECT_NE(std::string(error->what()).find("key d"), std::string::npos) << error->what();
}

}  // namespace
}  // namespace tidemill
