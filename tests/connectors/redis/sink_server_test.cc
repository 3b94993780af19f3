// The sink as the engine uses it, and the start-up check.
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "connectors/redis/sink.h"
#include "connectors/redis/startup_check.h"
#include "tests/connectors/redis/writer_harness.h"

namespace tidemill {
namespace {

const SystemClock kClock;

class RedisSinkOnServer : public testing::Test {
 protected:
  RedisSinkOnServer() : reader_(server_.port()) { make(); }

  void make() {
    RedisSinkSettings settings;
    settings.job = "test";
    settings.ttl = 1h;
    settings.writer = quick_settings(server_.url());
    settings.writer.key_prefix = "features:";
    sink_.reset();
    spec_ = redis_sink(settings);
    context_ = std::make_unique<OperatorContext>(OperatorContext::Place{.name = "redis"},
                                                 resources_, metrics_, kClock, nullptr);
    sink_ = spec_.make(*context_);
  }

  static void add(OutputBatch& batch, const std::string& key, std::int64_t number,
                  bool is_delete = false) {
    batch.begin_row();
    batch.buffer() += key;
    batch.end_key();
    batch.set_time(time_of(number));
    if (is_delete) {
      batch.set_delete();
    } else {
      batch.buffer() += json_row(number);
    }
    batch.end_row();
  }

  // What the engine does at a barrier: freeze, then drain between batches until true.
  [[nodiscard]] bool checkpoint(CheckpointId id) {
    Snapshotable& part = *context_->snapshotables().at(0);
    part.freeze(id);
    return drain();
  }
  [[nodiscard]] bool drain() {
    StageSnapshot snapshot;
    return eventually([&] { return context_->snapshotables().at(0)->drain(snapshot, 1000); });
  }
  std::uint64_t count(const std::string& name) { return context_->counter(name).value(); }

  RedisServer server_;
  PlainClient reader_;
  Resources resources_;
  MetricRegistry metrics_;
  SinkSpec spec_;
  std::unique_ptr<OperatorContext> context_;
  std::unique_ptr<Sink> sink_;
};

TEST_F(RedisSinkOnServer, ACheckpointIsCompleteWhenAllRowsBeforeItAreReadable) {
  OutputBatch batch;
  for (int n = 0; n < 1000; ++n) add(batch, "u" + std::to_string(n), n);
  add(batch, "u0", 1001, true);
  sink_->write(batch);
  ASSERT_TRUE(checkpoint(CheckpointId{}));
  EXPECT_EQ(reader_.ask({"DBSIZE"}), "999");
  EXPECT_EQ(number_of(reader_.get("features:u999")), 999);
  EXPECT_EQ(reader_.get("features:u0"), std::nullopt);
  EXPECT_EQ(count("tidemill_redis_rows_written_total"), 1001u);
}

TEST_F(RedisSinkOnServer, ACheckpointWaitsForAServerThatIsAway) {
  OutputBatch batch;
  add(batch, "u", 1);
  sink_->write(batch);
  ASSERT_TRUE(checkpoint(CheckpointId{}));
  server_.freeze();
  batch.clear();
  add(batch, "u", 2);
  sink_->write(batch);
  Snapshotable& part = *context_->snapshotables().at(0);
  part.freeze(CheckpointId{});
  StageSnapshot snapshot;
  EXPECT_FALSE(eventually([&] { return part.drain(snapshot, 1000); }, 200ms));
  // Rows behind the barrier do not hold it up.
  batch.clear();
  add(batch, "later", 3);
  sink_->write(batch);
  server_.thaw();
  ASSERT_TRUE(drain());
  EXPECT_EQ(number_of(reader_.get("features:u")), 2);
}

TEST_F(RedisSinkOnServer, IsFullWhileTheServerIsAway) {
  server_.freeze();
  OutputBatch batch;
  for (int n = 0; n < 1000; ++n) add(batch, "u" + std::to_string(n), n);
  int batches = 0;
  for (; !sink_->is_full() && batches < 100; ++batches) sink_->write(batch);
  EXPECT_EQ(batches, 9);  // 8,192 rows
  server_.thaw();
  EXPECT_TRUE(eventually([&] {
    sink_->poll();
    return !sink_->is_full();
  }));
}

TEST_F(RedisSinkOnServer, ARestartedJobDoesNotRollBack) {
  OutputBatch batch;
  for (int n = 1; n <= 9; ++n) add(batch, "u", n);
  sink_->write(batch);
  ASSERT_TRUE(checkpoint(CheckpointId{}));
  make();
  batch.clear();
  for (int n = 5; n <= 7; ++n) add(batch, "u", n);
  sink_->write(batch);
  ASSERT_TRUE(checkpoint(CheckpointId{}));
  EXPECT_EQ(number_of(reader_.get("features:u")), 9);
  EXPECT_EQ(count("tidemill_redis_rows_stale_total"), 3u);
}

TEST_F(RedisSinkOnServer, ARowWithoutAKeyStopsTheJob) {
  OutputBatch batch;
  batch.begin_row();
  batch.buffer() += json_row(1);
  batch.end_row();
  EXPECT_THROW(sink_->write(batch), Error);
}

TEST(RedisSink, RefusesAWrongUrlBeforeTheJobRuns) {
  RedisSinkSettings settings;
  settings.writer.server.url = "127.0.0.1:6379";
  EXPECT_THROW(redis_sink(settings), Error);
}

TEST(RedisStartupCheck, ReportsTheVersionAndWhatMayHappenToRows) {
  RedisServer server;
  PlainClient admin(server.port());
  const RedisServerSettings settings = quick_settings(server.url()).server;
  RedisServerReport report = check_redis_server(settings, kClock, 10s);
  EXPECT_NE(report.version, "");
  EXPECT_TRUE(report.warnings.empty());

  admin.ask({"CONFIG", "SET", "maxmemory", "100mb"});
  report = check_redis_server(settings, kClock, 10s);
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(
      report.warnings[0].find(
          "refuses writes when its memory is full (maxmemory 104857600 bytes, policy noeviction)"),
      std::string::npos)
      << report.warnings[0];

  for (const char* policy : {"volatile-lru", "allkeys-random"}) {
    admin.ask({"CONFIG", "SET", "maxmemory-policy", policy});
    report = check_redis_server(settings, kClock, 10s);
    ASSERT_EQ(report.warnings.size(), 1u);
    EXPECT_NE(report.warnings[0].find("drops rows"), std::string::npos) << report.warnings[0];
  }
}

TEST(RedisStartupCheck, RefusesServersThatTakeNoRows) {
  const auto refusal = [](const RedisServerSettings& settings, ErrorCode code,
                          std::chrono::milliseconds limit = 10s) -> std::string {
    try {
      check_redis_server(settings, kClock, limit);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      return error.what();
    }
    return "";
  };
  RedisServer server;
  PlainClient admin(server.port());
  const RedisServerSettings settings = quick_settings(server.url()).server;
  admin.ask({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_NE(refusal(settings, ErrorCode::kConfig).find("replica"), std::string::npos);
  admin.ask({"REPLICAOF", "NO", "ONE"});
  admin.ask({"CONFIG", "SET", "requirepass", "p"});
  EXPECT_NE(refusal(settings, ErrorCode::kConfig).find("NOAUTH"), std::string::npos);
  server.kill();
  EXPECT_NE(refusal(settings, ErrorCode::kIo, 300ms).find("is the server running"),
            std::string::npos);
  RedisServer cluster({"--cluster-enabled", "yes", "--cluster-port", std::to_string(free_port())});
  EXPECT_NE(refusal(quick_settings(cluster.url()).server, ErrorCode::kConfig).find("Cluster"),
            std::string::npos);
}

TEST(RedisStartupCheck, SaysWhatItMayNotSee) {
  RedisServer server;
  PlainClient(server.port())
      .ask({"ACL", "SETUSER", "writer", "on", ">p", "~*", "-@all", "+setex", "+select"});
  const RedisServerReport report =
      check_redis_server(quick_settings(server.url("writer:p@")).server, kClock, 10s);
  EXPECT_EQ(report.version, "");
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find("+info"), std::string::npos);
}

}  // namespace
}  // namespace tidemill
