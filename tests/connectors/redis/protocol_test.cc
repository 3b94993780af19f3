// Bytes in both directions, and what error replies and greetings mean; no server needed.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <string>
#include <vector>

#include "connectors/redis/command.h"
#include "connectors/redis/greeting.h"
#include "connectors/redis/reply_error.h"
#include "connectors/redis/reply_reader.h"
#include "engine/base/error.h"

namespace tidemill {
namespace {

using Kind = RedisReply::Kind;
using Progress = ReplyReader::Progress;

TEST(RedisCommand, IsAnArrayOfTexts) {
  std::string out = "x";
  append_redis_command(out, {"SETEX", "k", "60", std::string_view("a\r\n\0b", 5)});
  EXPECT_EQ(out,
            std::string("x*4\r\n$5\r\nSETEX\r\n$1\r\nk\r\n$2\r\n60\r\n$5\r\na\r\n\0b\r\n", 42));
}

TEST(ReplyReader, ReadsEveryKindInAnyPieces) {
  const std::string bytes =
      "+OK\r\n-ERR "
      "no\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*3\r\n$1\r\nx\r\n:5\r\n*1\r\n+y\r\n*0\r\n$0\r\n\r\n";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    ReplyReader reader;
    std::vector<RedisReply> replies;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      reader.feed(std::string_view(bytes).substr(at, piece));
      RedisReply reply;
      while (reader.next(reply) == Progress::kReply) replies.push_back(reply);
    }
    ASSERT_EQ(replies.size(), 8u) << piece;
    EXPECT_EQ(replies[0].kind, Kind::kStatus);
    EXPECT_EQ(replies[0].text, "OK");
    EXPECT_TRUE(replies[1].is_error());
    EXPECT_EQ(replies[1].text, "ERR no");
    EXPECT_EQ(replies[2].integer, -7);
    EXPECT_EQ(replies[3].kind, Kind::kText);
    EXPECT_EQ(replies[3].text, "a\r\n");
    EXPECT_EQ(replies[4].kind, Kind::kNil);
    EXPECT_EQ(replies[5].items, (std::vector<std::string>{"x", "5", "y"}));
    EXPECT_EQ(replies[6].kind, Kind::kList);
    EXPECT_TRUE(replies[6].items.empty());
    EXPECT_EQ(replies[7].text, "");
  }
}

TEST(ReplyReader, SaysWhenThePeerSpeaksSomethingElse) {
  for (const char* bytes : {"HTTP/1.1 400 Bad Request\r\n\r\n", "\x15\x03\x03\x00\x02\x02\x28",
                            "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n+x\r\n"}) {
    ReplyReader reader;
    reader.feed(bytes);
    RedisReply reply;
    Progress progress = Progress::kReply;
    while (progress == Progress::kReply) progress = reader.next(reply);
    EXPECT_EQ(progress, Progress::kBroken) << bytes;
    EXPECT_FALSE(reader.error().empty());
  }
}

TEST(ReplyReader, DoesNotTakeEndlessLists) {
  ReplyReader reader;
  reader.feed("*2000000000\r\n");
  RedisReply reply;
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += ":1\r\n";
  Progress progress = Progress::kMore;
  for (int i = 0; i < 30 && progress == Progress::kMore; ++i) {
    reader.feed(many);
    progress = reader.next(reply);
  }
  EXPECT_EQ(progress, Progress::kBroken);
}

TEST(ReplyReader, AnyBytesGiveAnAnswer) {
  EXPECT_TRUE(rc::check([] {
    const auto bytes =
        *rc::gen::container<std::string>(rc::gen::elementOf(std::string("+-:$*0123456789\r\nab-")));
    ReplyReader reader;
    reader.feed(bytes);
    RedisReply reply;
    for (std::size_t i = 0; i <= bytes.size(); ++i) {
      if (reader.next(reply) != Progress::kReply) return;
    }
    RC_FAIL("more replies than bytes");
  }));
}

TEST(RedisError, IsSortedByWhatItCallsFor) {
  using K = RedisErrorKind;
  EXPECT_EQ(kind_of_redis_error("LOADING Redis is loading the dataset in memory"), K::kTransient);
  EXPECT_EQ(kind_of_redis_error("OOM command not allowed when used memory > 'maxmemory'."),
            K::kTransient);
  EXPECT_EQ(kind_of_redis_error("READONLY You can't write against a read only replica."),
            K::kTransient);
  EXPECT_EQ(kind_of_redis_error("ERR max number of clients reached"), K::kTransient);
  EXPECT_EQ(kind_of_redis_error("NOSCRIPT No matching script. Please use EVAL."), K::kNoScript);
  EXPECT_EQ(kind_of_redis_error("WRONGPASS invalid username-password pair or user is disabled."),
            K::kRefused);
  EXPECT_EQ(kind_of_redis_error("MOVED 3999 127.0.0.1:6381"), K::kRefused);
  EXPECT_EQ(kind_of_redis_error("ERR value is not an integer or out of range"), K::kCommand);
  EXPECT_EQ(
      kind_of_redis_error("WRONGTYPE Operation against a key holding the wrong kind of value"),
      K::kCommand);
  EXPECT_EQ(kind_of_redis_error("ERR Error running script (call to f_ab12): @user_script:24: "
                                "@user_script: 24: -OOM command not allowed"),
            K::kTransient);
  EXPECT_NE(advice_for_redis_error("MOVED 1 h:1").find("Cluster"), std::string_view::npos);
  EXPECT_EQ(advice_for_redis_error("ERR anything"), "");
}

// Plays the server's side: answers what `greeting` asked with `answers`, in order; counts the
// commands it was sent.
class Greeted {
 public:
  Greeted(const RedisAddress& address, const RedisWriterName* name, std::string_view script)
      : greeting(address, name, script) {
    greeting.begin(said);
  }
  RedisGreeting::Step answer(Kind kind, const std::string& text) {
    return greeting.on_reply(RedisReply{.kind = kind, .integer = 0, .text = text, .items = {}},
                             said);
  }
  [[nodiscard]] bool has_said(std::string_view text) const {
    return said.find(text) != std::string::npos;
  }

  RedisGreeting greeting;
  std::string said;
};

constexpr const char* kClients =
    "id=3 addr=127.0.0.1:5001 fd=8 name= age=1 cmd=client\n"
    "id=4 addr=127.0.0.1:5002 fd=9 name=tidemill/features/redis/0@500 age=1\n"  // an older process
    "id=5 addr=127.0.0.1:5003 fd=9 name=tidemill/features/redis/3@500 age=1\n"  // the same, another
                                                                                // subtask
    "id=6 addr=127.0.0.1:5004 fd=9 name=tidemill/features/redis/0@700 age=1\n"  // our former
                                                                                // connection
    "id=7 addr=127.0.0.1:5005 fd=9 name=tidemill/features/redis/1@700 age=1\n"  // our sibling
    "id=8 addr=127.0.0.1:5006 fd=9 name=tidemill/other/redis/0@100 age=1\n"     // another job
    "id=9 addr=127.0.0.1:5007 fd=9 name=tidemill/features/redis/x@y age=1\n";   // nobody of ours

TEST(RedisGreeting, LogsInClosesOldConnectionsAndLoadsTheScript) {
  const RedisAddress address = parse_redis_url("redis://u:p@h:1/2");
  const RedisWriterName name{.job = "features", .sink = "redis", .subtask = 0, .epoch = 700};
  Greeted server(address, &name, "return 1");
  EXPECT_TRUE(server.has_said("AUTH\r\n$1\r\nu\r\n$1\r\np\r\n"));
  EXPECT_TRUE(server.has_said("SELECT\r\n$1\r\n2\r\n"));
  EXPECT_EQ(server.answer(Kind::kStatus, "OK"), RedisGreeting::Step::kMore);
  EXPECT_EQ(server.answer(Kind::kStatus, "OK"), RedisGreeting::Step::kMore);
  EXPECT_EQ(server.answer(Kind::kText, "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n"),
            RedisGreeting::Step::kMore);
  EXPECT_FALSE(server.has_said("KILL"));
  EXPECT_EQ(server.answer(Kind::kText, kClients), RedisGreeting::Step::kMore);
  for (const char* killed : {"$1\r\n4\r\n", "$1\r\n5\r\n", "$1\r\n6\r\n"})
    EXPECT_TRUE(server.has_said(std::string("KILL\r\n$2\r\nID\r\n") + killed)) << killed;
  for (const char* kept : {"$1\r\n3\r\n", "$1\r\n7\r\n", "$1\r\n8\r\n", "$1\r\n9\r\n"})
    EXPECT_FALSE(server.has_said(std::string("KILL\r\n$2\r\nID\r\n") + kept)) << kept;
  EXPECT_TRUE(server.has_said("SETNAME\r\n$29\r\ntidemill/features/redis/0@700\r\n"));
  EXPECT_TRUE(server.has_said("GET\r\n$23\r\ntidemill:fence:features\r\n"));
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(server.answer(Kind::kInteger, ""), RedisGreeting::Step::kMore);
  EXPECT_EQ(server.answer(Kind::kText, "700"), RedisGreeting::Step::kMore);  // not younger
  EXPECT_EQ(server.answer(Kind::kText, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"),
            RedisGreeting::Step::kDone);
  EXPECT_EQ(server.greeting.script_sha(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
  EXPECT_EQ(server.greeting.run_id(), "abc");
  EXPECT_TRUE(server.greeting.is_fenced());
}

TEST(RedisGreeting, GivesWayToAYoungerInstance) {
  const RedisAddress address = parse_redis_url("redis://h");
  const RedisWriterName name{.job = "features", .sink = "redis", .subtask = 0, .epoch = 600};
  Greeted server(address, &name, "");
  ASSERT_EQ(server.answer(Kind::kText, "run_id:abc\r\n"), RedisGreeting::Step::kMore);
  try {
    static_cast<void>(server.answer(Kind::kText, kClients));
    FAIL() << "writes on";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFenced);
    EXPECT_NE(std::string(error.what()).find("@700"), std::string::npos) << error.what();
  }
}

TEST(RedisGreeting, GivesWayToAYoungerFence) {
  const RedisAddress address = parse_redis_url("redis://h");
  const RedisWriterName name{.job = "features", .sink = "redis", .subtask = 0, .epoch = 600};
  Greeted server(address, &name, "return 1");
  ASSERT_EQ(server.answer(Kind::kText, "run_id:abc\r\n"), RedisGreeting::Step::kMore);
  ASSERT_EQ(server.answer(Kind::kText, ""), RedisGreeting::Step::kMore);
  ASSERT_EQ(server.answer(Kind::kStatus, "OK"), RedisGreeting::Step::kMore);
  try {
    static_cast<void>(server.answer(Kind::kText, "601"));
    FAIL() << "writes on";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFenced);
    EXPECT_NE(std::string(error.what()).find("tidemill:fence:features"), std::string::npos);
  }
}

TEST(RedisGreeting, FindsAllConnectionsOfAJob) {
  EXPECT_EQ(redis_connections_of(kClients, "features"),
            (std::vector<std::string>{"4", "5", "6", "7", "9"}));
}

TEST(RedisGreeting, GoesOnWhereConnectionsMayNotBeListed) {
  const RedisAddress address = parse_redis_url("redis://h");
  const RedisWriterName name{
      .job = "a job/with @ odd ü name", .sink = "redis", .subtask = 0, .epoch = 600};
  Greeted server(address, &name, "");
  ASSERT_EQ(
      server.answer(Kind::kError, "NOPERM this user has no permissions to run the 'info' command"),
      RedisGreeting::Step::kMore);
  ASSERT_EQ(server.answer(Kind::kError,
                          "NOPERM this user has no permissions to run the 'client|list' command"),
            RedisGreeting::Step::kMore);
  EXPECT_TRUE(server.has_said("tidemill/a_job_with___odd____name/redis/0@600"));
  EXPECT_EQ(server.answer(Kind::kStatus, "OK"), RedisGreeting::Step::kMore);
  EXPECT_EQ(server.answer(Kind::kError, "NOPERM this user has no permissions to access a key"),
            RedisGreeting::Step::kDone);
  EXPECT_FALSE(server.greeting.is_fenced());
}

TEST(RedisGreeting, StopsWhereItWillNeverBeLetIn) {
  const RedisAddress address = parse_redis_url("redis://:wrong@h/1");
  const auto refusal = [&](const std::vector<std::string>& answers) -> std::string {
    Greeted server(address, nullptr, "return 1");
    try {
      for (const std::string& answer : answers)
        static_cast<void>(
            server.answer(answer[0] == '+' ? Kind::kStatus : Kind::kError, answer.substr(1)));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kConfig);
      EXPECT_EQ(std::string(error.what()).find("wrong@"), std::string::npos);
      return error.what();
    }
    return "";
  };
  EXPECT_NE(refusal({"-WRONGPASS invalid username-password pair"}).find("check user and password"),
            std::string::npos);
  EXPECT_NE(refusal({"+OK", "-ERR DB index is out of range"}).find("database 1"),
            std::string::npos);
  EXPECT_NE(refusal({"+OK", "+OK", "-NOAUTH Authentication required."}).find("password_file"),
            std::string::npos);
  EXPECT_NE(refusal({"+OK", "+OK", "+", "-NOPERM no"}).find("guard: none"), std::string::npos);
}

TEST(RedisGreeting, ComesBackWhenTheServerIsLoading) {
  const RedisAddress address = parse_redis_url("redis://h");
  Greeted server(address, nullptr, "return 1");
  ASSERT_EQ(server.answer(Kind::kText, ""), RedisGreeting::Step::kMore);
  EXPECT_EQ(server.answer(Kind::kError, "LOADING Redis is loading the dataset in memory"),
            RedisGreeting::Step::kRetry);
  EXPECT_EQ(server.greeting.reason(), "LOADING Redis is loading the dataset in memory");
}

}  // namespace
}  // namespace tidemill
