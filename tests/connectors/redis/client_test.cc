// The client and the writer against a peer that breaks the protocol: plain sockets in this process,
// no Redis.
#include "connectors/redis/client.h"

#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include "connectors/redis/writer.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"

namespace tidemill {
namespace {

const SystemClock kClock;

// Accepts one connection at a time and says what it is told; it never blocks.
class FakeServer {
 public:
  FakeServer() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 16), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~FakeServer() {
    close(listener_);
    hang_up();
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  void step() {
    if (peer_ < 0) {
      peer_ = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (peer_ >= 0) ++connections;
      received.clear();
    }
    char buffer[4096];
    for (ssize_t size = 0; peer_ >= 0 && (size = recv(peer_, buffer, sizeof buffer, 0)) != -1;) {
      if (size == 0) return hang_up();
      received.append(buffer, static_cast<std::size_t>(size));
    }
  }
  void say(const std::string& bytes) const {
    EXPECT_EQ(send(peer_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void hang_up() {
    if (peer_ >= 0) close(peer_);
    peer_ = -1;
  }
  // What a client without name and script is greeted with.
  void greet() {
    say("$0\r\n\r\n");
    received.clear();
  }
  [[nodiscard]] bool has_received(const std::string& text) const {
    return received.find(text) != std::string::npos;
  }
  [[nodiscard]] RedisServerSettings settings() const {
    RedisServerSettings settings;
    settings.url = "redis://127.0.0.1:" + std::to_string(port_);
    settings.backoff_min = 2ms;
    settings.backoff_max = 10ms;
    return settings;
  }

  std::string received;
  int connections = 0;

 private:
  int listener_ = -1;
  int peer_ = -1;
  std::uint16_t port_ = 0;
};

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
  }
  return false;
}

class RedisClientOnFake : public testing::Test {
 protected:
  bool until(const std::function<bool()>& condition) {
    return eventually([&] {
      server_.step();
      client_.poll();
      return condition();
    });
  }

  FakeServer server_;
  RedisClient client_{server_.settings(), std::nullopt, "", kClock};
};

TEST_F(RedisClientOnFake, TriesAgainWhenThePeerSpeaksSomethingElse) {
  for (int n = 1; n <= 3; ++n) {
    ASSERT_TRUE(until([&] { return server_.connections == n && server_.has_received("INFO"); }));
    server_.say("HTTP/1.1 400 Bad Request\r\n\r\n");
    ASSERT_TRUE(
        until([&] { return client_.trouble().find("does not speak") != std::string::npos; }));
    server_.hang_up();
  }
  EXPECT_FALSE(client_.is_ready());
  ASSERT_TRUE(until([&] { return server_.has_received("INFO"); }));
  server_.greet();
  ASSERT_TRUE(until([&] { return client_.is_ready(); }));
}

TEST_F(RedisClientOnFake, TakesAGreetingInPieces) {
  ASSERT_TRUE(until([&] { return server_.has_received("INFO"); }));
  for (const char c : std::string("$17\r\n# Server\r\nrun_id:\r\n")) {
    ASSERT_FALSE(client_.is_ready());
    server_.say(std::string(1, c));
    client_.poll();
  }
  ASSERT_TRUE(until([&] { return client_.is_ready(); }));
  EXPECT_EQ(client_.session(), 1u);
}

TEST_F(RedisClientOnFake, CountsSessions) {
  for (std::uint64_t n = 1; n <= 3; ++n) {
    ASSERT_TRUE(until([&] { return server_.has_received("INFO"); }));
    server_.greet();
    ASSERT_TRUE(until([&] { return client_.is_ready(); }));
    EXPECT_EQ(client_.session(), n);
    server_.hang_up();
    RedisReply reply;
    ASSERT_TRUE(until([&] { return !client_.next_reply(reply) && !client_.is_ready(); }));
  }
  EXPECT_EQ(client_.reconnects(), 2u);
}

TEST(RedisClient, GivesAConnectionUpThatIsNotGreetedInTime) {
  FakeServer server;
  RedisServerSettings settings = server.settings();
  settings.connect_timeout = 20ms;
  RedisClient client(settings, std::nullopt, "", kClock);
  ASSERT_TRUE(eventually([&] {
    server.step();
    client.poll();
    return server.connections >= 3;
  }));
  EXPECT_NE(client.trouble().find("within 20 ms"), std::string::npos) << client.trouble();
}

TEST(RedisClient, WaitsLongerAfterEachFailure) {
  FakeServer server;
  ManualClock clock;
  RedisServerSettings settings = server.settings();
  settings.backoff_min = 100ms;
  settings.backoff_max = 1s;
  RedisClient client(settings, std::nullopt, "", clock);
  std::vector<std::int64_t> pauses;
  for (int n = 1; n <= 7; ++n) {
    ASSERT_TRUE(eventually([&] {
      server.step();
      client.poll();
      return server.connections == n && server.has_received("INFO");
    }));
    server.hang_up();
    ASSERT_TRUE(eventually([&] {
      client.poll();
      return client.trouble() == "the server closed the connection";
    }));
    client.poll();
    // Time stands still, so nothing happens; then it moves by ten milliseconds at a time.
    std::int64_t pause = 0;
    const int before = server.connections;
    ASSERT_TRUE(eventually([&] {
      clock.advance(10ms);
      pause += 10;
      client.poll();
      for (int i = 0; i < 20; ++i) {
        client.poll();
        server.step();
      }
      return server.connections > before;
    }));
    pauses.push_back(pause);
  }
  for (std::size_t i = 0; i < pauses.size(); ++i) {
    const std::int64_t full = std::min<std::int64_t>(1000, 100 << i);
    EXPECT_GE(pauses[i], full / 2) << i;
    EXPECT_LE(pauses[i], full + 50) << i;
  }
}

TEST(RedisClient, ResolvesNamesAndSaysWhenItCannot) {
  RedisServerSettings settings;
  settings.url = "redis://no-such-host.invalid:1";
  settings.backoff_min = 5ms;
  RedisClient client(settings, std::nullopt, "", kClock);
  ASSERT_TRUE(eventually([&] {
    client.wait(5ms);
    return client.trouble().find("cannot resolve host no-such-host.invalid") != std::string::npos;
  })) << client.trouble();
}

class RedisWriterOnFake : public testing::Test {
 protected:
  RedisWriterOnFake() : writer_(settings(), std::nullopt, kClock, nullptr) {}

  RedisWriterSettings settings() const {
    RedisWriterSettings settings;
    settings.server = server_.settings();
    settings.guard = RedisGuard::kNone;
    return settings;
  }
  bool until(const std::function<bool()>& condition) {
    return eventually([&] {
      server_.step();
      writer_.poll();
      return condition();
    });
  }
  void greet() {
    ASSERT_TRUE(until([&] { return server_.has_received("INFO"); }));
    server_.greet();
    ASSERT_TRUE(until([&] { return writer_.is_connected(); }));
  }

  FakeServer server_;
  RedisWriter writer_;
};

TEST_F(RedisWriterOnFake, SendsAgainWhatWasNotAnswered) {
  greet();
  for (const char* key : {"a", "b", "c"}) writer_.set(key, "v", 0ms, {});
  ASSERT_TRUE(until([&] { return server_.has_received("$1\r\nc\r\n"); }));
  server_.say("+OK\r\n");
  ASSERT_TRUE(until([&] { return writer_.flushed_up_to(1); }));
  EXPECT_FALSE(writer_.flushed_up_to(2));
  server_.hang_up();
  greet();
  ASSERT_TRUE(until([&] { return server_.has_received("$1\r\nc\r\n"); }));
  EXPECT_FALSE(server_.has_received("$1\r\na\r\n"));
  EXPECT_TRUE(server_.has_received("$1\r\nb\r\n"));
  EXPECT_EQ(writer_.counts().resent, 2u);
  server_.say("+OK\r\n+OK\r\n");
  ASSERT_TRUE(until([&] { return writer_.flushed_up_to(3); }));
  EXPECT_EQ(writer_.counts().written, 3u);
}

TEST_F(RedisWriterOnFake, ReadsTheAnswersThatCameBeforeTheEnd) {
  greet();
  for (const char* key : {"a", "b"}) writer_.set(key, "v", 0ms, {});
  ASSERT_TRUE(until([&] { return server_.has_received("$1\r\nb\r\n"); }));
  server_.say("+OK\r\n+OK\r\n");
  server_.hang_up();
  ASSERT_TRUE(until([&] { return writer_.flushed_up_to(2); }));
}

TEST_F(RedisWriterOnFake, DistrustsAnswersNobodyAskedFor) {
  greet();
  writer_.set("a", "v", 0ms, {});
  ASSERT_TRUE(until([&] { return server_.has_received("$1\r\na\r\n"); }));
  server_.say("+OK\r\n+OK\r\n");
  ASSERT_TRUE(until([&] { return !writer_.is_connected(); }));
  EXPECT_TRUE(writer_.flushed_up_to(1));
}

TEST_F(RedisWriterOnFake, StartsAgainOnNonsense) {
  greet();
  writer_.set("a", "v", 0ms, {});
  ASSERT_TRUE(until([&] { return server_.has_received("$1\r\na\r\n"); }));
  server_.say("?what\r\n");
  ASSERT_TRUE(until([&] { return !writer_.is_connected(); }));
  server_.hang_up();
  greet();
  ASSERT_TRUE(until([&] { return server_.has_received("$1\r\na\r\n"); }));
  server_.say("+OK\r\n");
  ASSERT_TRUE(until([&] { return writer_.flushed_up_to(1); }));
}

TEST_F(RedisWriterOnFake, KeepsTheOrderWhenTheServerCannotForAWhile) {
  greet();
  for (const char* value : {"1", "2", "3"}) writer_.set("k", value, 0ms, {});
  ASSERT_TRUE(until([&] { return server_.has_received("$1\r\n3\r\n"); }));
  server_.say("+OK\r\n-LOADING Redis is loading the dataset in memory\r\n");
  ASSERT_TRUE(until([&] { return !writer_.is_connected(); }));
  server_.hang_up();
  greet();
  ASSERT_TRUE(until([&] { return server_.has_received("$1\r\n3\r\n"); }));
  EXPECT_FALSE(server_.has_received("$1\r\n2\r\n")) << "the last row of a key says all";
  server_.say("+OK\r\n");
  ASSERT_TRUE(until([&] { return writer_.flushed_up_to(3); }));
}

TEST_F(RedisWriterOnFake, ClusterRedirectsAreRefusedWithAReason) {
  greet();
  writer_.set("k", "v", 0ms, {});
  ASSERT_TRUE(until([&] { return server_.has_received("$1\r\nk\r\n"); }));
  server_.say("-MOVED 12706 10.0.0.5:6379\r\n");
  try {
    until([] { return false; });
    FAIL() << "goes on";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    EXPECT_NE(std::string(error.what()).find("Redis Cluster"), std::string::npos);
  }
}

TEST_F(RedisWriterOnFake, RefusesRowsThatRedisCannotHold) {
  const std::string huge((std::size_t{512} << 20) + 1, 'x');
  EXPECT_THROW(writer_.set("k", huge, 0ms, {}), Error);
}

}  // namespace
}  // namespace tidemill
