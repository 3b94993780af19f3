// The look-up against real servers that die, freeze and refuse; and in a job, as the store of a
// look-up join.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/describe.hpp>

#include "connectors/memory/memory_rows.h"
#include "connectors/memory/scripted_source.h"
#include "connectors/redis/lookup.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "operators/async_lookup.h"
#include "operators/source.h"
#include "testing/operator_harness.h"
#include "testing/pipeline_harness.h"
#include "tests/connectors/redis/redis_server.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::OperatorHarness;
using testing::PipelineHarness;
using ::testing::UnorderedElementsAre;
using Client = LookupClient<std::string, std::string>;

const SystemClock kClock;

RedisLookupSettings quick(const std::string& url) {
  RedisLookupSettings settings;
  settings.server.url = url;
  settings.server.backoff_min = 5ms;
  settings.server.backoff_max = 50ms;
  return settings;
}

// Answers as they come: the value, "-" for none, "!" and the reason for an error.
class Answers {
 public:
  explicit Answers(const RedisLookupSettings& settings) : client_(redis_lookup(settings)(kClock)) {}

  void request(std::uint64_t number, const std::string& key) { client_->request(number, key); }
  void poll() {
    std::vector<LookupAnswer<std::string>> answers;
    client_->poll(answers);
    for (const auto& answer : answers) {
      EXPECT_FALSE(texts_.contains(answer.request)) << "answered twice";
      texts_[answer.request] =
          answer.error.empty() ? answer.value.value_or("-") : "!" + answer.error;
    }
  }
  // Polls until there are so many.
  const std::map<std::uint64_t, std::string>& wait_for(std::size_t count) {
    EXPECT_TRUE(eventually([&] {
      poll();
      return texts_.size() >= count;
    })) << texts_.size()
        << " answers";
    return texts_;
  }

 private:
  const std::unique_ptr<Client> client_;
  std::map<std::uint64_t, std::string> texts_;
};

class RedisLookupOnServer : public ::testing::Test {
 protected:
  void set(const std::string& key, const std::string& value) { ask({"SET", key, value}); }
  std::string ask(const std::vector<std::string>& command) {
    return PlainClient(server_.port()).ask(command).value_or("");
  }
  [[nodiscard]] RedisLookupSettings settings() const { return quick(server_.url()); }

  RedisServer server_;
};

TEST_F(RedisLookupOnServer, FindsValuesAndSaysWhatItHasNot) {
  set("shop:a", "Ada's");
  set("shop:b", std::string("\0\r\n", 3));
  RedisLookupSettings with_prefix = settings();
  with_prefix.key_prefix = "shop:";
  Answers answers(with_prefix);
  answers.request(7, "a");
  answers.request(8, "b");
  answers.request(9, "c");
  answers.request(10, "a");
  const auto& all = answers.wait_for(4);
  EXPECT_EQ(all.at(7), "Ada's");
  EXPECT_EQ(all.at(8), std::string("\0\r\n", 3));
  EXPECT_EQ(all.at(9), "-");
  EXPECT_EQ(all.at(10), "Ada's");
}

TEST_F(RedisLookupOnServer, ReadsHashes) {
  ask({"HSET", "shops", "x:a", "Ada's"});
  ask({"HSET", "x:b", "name", "Bob's"});
  RedisLookupSettings one_hash = settings();
  one_hash.key_prefix = "x:";
  RedisLookupSettings one_field = one_hash;
  one_hash.hash = "shops";
  one_field.field = "name";
  Answers of_hash(one_hash);
  Answers of_field(one_field);
  for (Answers* answers : {&of_hash, &of_field}) {
    answers->request(1, "a");
    answers->request(2, "b");
  }
  EXPECT_EQ(of_hash.wait_for(2), (std::map<std::uint64_t, std::string>{{1, "Ada's"}, {2, "-"}}));
  EXPECT_EQ(of_field.wait_for(2), (std::map<std::uint64_t, std::string>{{1, "-"}, {2, "Bob's"}}));
}

TEST_F(RedisLookupOnServer, AnErrorReplyIsAnErrorOfItsRequestOnly) {
  set("a", "1");
  ask({"RPUSH", "list", "1"});
  Answers answers(settings());
  answers.request(1, "list");
  answers.request(2, "a");
  const auto& all = answers.wait_for(2);
  EXPECT_THAT(all.at(1), HasSubstr("key list: WRONGTYPE"));
  EXPECT_EQ(all.at(2), "1");
}

TEST_F(RedisLookupOnServer, AnswersAfterTheServerWasKilledInMidFlight) {
  Answers answers(settings());
  answers.request(0, "k0");
  answers.wait_for(1);
  server_.freeze();  // what is sent now is not answered before the kill
  for (std::uint64_t n = 1; n <= 5000; ++n) {
    answers.request(n, "k" + std::to_string(n));
    answers.poll();
  }
  server_.kill();
  answers.request(5001, "k5001");
  answers.poll();
  server_.start();
  // Before the client is back: it has not been polled.
  PlainClient writer(server_.port());
  for (int n = 1; n <= 5001; ++n) writer.ask({"SET", "k" + std::to_string(n), std::to_string(n)});
  const auto& all = answers.wait_for(5002);
  EXPECT_EQ(all.at(0), "-");
  for (std::uint64_t n = 1; n <= 5001; ++n) ASSERT_EQ(all.at(n), std::to_string(n));
}

TEST_F(RedisLookupOnServer, AsksAgainWhatTheServerCannotAnswerNow) {
  set("a", "1");
  ask({"CONFIG", "SET", "replica-serve-stale-data", "no"});
  Answers answers(settings());
  answers.request(0, "a");
  answers.wait_for(1);
  ask({"REPLICAOF", "127.0.0.1", std::to_string(free_port())});
  ASSERT_THROW(ask({"GET", "a"}), std::runtime_error) << "MASTERDOWN";
  answers.request(1, "a");
  for (int i = 0; i < 1000; ++i) answers.poll();
  ask({"REPLICAOF", "NO", "ONE"});
  EXPECT_EQ(answers.wait_for(2).at(1), "1");
}

TEST_F(RedisLookupOnServer, GivesUpRequestsNobodyAnswers) {
  set("b", "of the second");
  RedisLookupSettings impatient = settings();
  impatient.server.response_timeout = 50ms;
  Answers answers(impatient);
  std::uint64_t number = 0;
  // As often as a slow machine needs.
  const auto has_none = [&] {
    answers.request(++number, "a");
    return answers.wait_for(number).at(number) == "-";
  };
  ASSERT_TRUE(eventually(has_none));
  server_.freeze();
  answers.request(++number, "b");
  EXPECT_THAT(answers.wait_for(number).at(number), HasSubstr("no answer for 50 ms"));
  server_.thaw();
  EXPECT_TRUE(eventually(has_none));
}

TEST_F(RedisLookupOnServer, RefusesWhatIsTooMuch) {
  RedisLookupSettings small = settings();
  small.max_requests = 2;
  small.max_bytes = 10;
  Answers answers(small);
  answers.request(1, "a");
  answers.request(2, std::string(10, 'b'));
  answers.request(3, "c");
  answers.request(4, "d");
  const auto& all = answers.wait_for(4);
  EXPECT_EQ(all.at(1), "-");
  EXPECT_THAT(all.at(2), HasSubstr("too much waits"));
  EXPECT_EQ(all.at(3), "-");
  EXPECT_THAT(all.at(4), HasSubstr("too much waits"));
  answers.request(5, std::string(10, 'b'));
  EXPECT_EQ(answers.wait_for(5).at(5), "-") << "there is room again";
}

// It ends each session it is read in; what waits behind it must not wait for ever.
TEST_F(RedisLookupOnServer, AValueTooLongToBeReadIsAnErrorOfItsRequestOnly) {
  ask({"SETRANGE", "long", std::to_string(std::size_t{80} << 20), "x"});
  set("a", "1");
  Answers answers(settings());
  answers.request(1, "long");
  answers.request(2, "a");
  const auto& all = answers.wait_for(2);
  EXPECT_THAT(all.at(1), HasSubstr("key long: the server does not speak"));
  EXPECT_EQ(all.at(2), "1");
}

TEST(RedisLookup, LogsInAndSaysWhatItMayNotRead) {
  const RedisServer server({"--requirepass", "secret"});
  PlainClient admin(server.port(), "secret");
  admin.ask({"SET", "open:a", "1"});
  admin.ask({"ACL", "SETUSER", "reader", "on", ">pw", "~open:*", "+get", "+info", "+select"});
  const auto error_of = [&](const std::string& login, const std::string& key) -> std::string {
    Answers answers(quick(server.url(login)));
    try {
      answers.request(1, key);
      return answers.wait_for(1).at(1);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kConfig);
      return error.what();
    }
  };
  EXPECT_EQ(error_of("reader:pw@", "open:a"), "1");
  EXPECT_THAT(error_of("reader:pw@", "shut"), HasSubstr("NOPERM"));
  EXPECT_THAT(error_of("reader:wrong@", "open:a"), HasSubstr("WRONGPASS"));
  EXPECT_THAT(error_of("", "open:a"), HasSubstr("NOAUTH"));
}

TEST(RedisLookup, RefusesImpossibleSettings) {
  RedisLookupSettings both;
  both.field = both.hash = "x";
  EXPECT_THROW(redis_lookup(both), Error);
  EXPECT_THROW(redis_lookup({.max_requests = 0}), Error);
  RedisLookupSettings elsewhere;
  elsewhere.server.url = "http://127.0.0.1";
  EXPECT_THROW(redis_lookup(elsewhere), Error);
}

struct Payment {
  std::string shop;
  std::int64_t at = 0;
};
BOOST_DESCRIBE_STRUCT(Payment, (), (shop, at))

struct WithRate {
  std::string operator()(const Payment& payment, const int* rate) const {
    return payment.shop + "=" + (rate == nullptr ? "-" : std::to_string(*rate));
  }
};
int rate_of(const std::string& text) { return std::stoi(text); }

// The tests' clock moves as often as they look, so only pauses end by it.
constexpr LookupOptions kPatient = {.timeout = 24h, .is_ordered = true};
RedisLookupSettings patient(const std::string& url) {
  RedisLookupSettings settings = quick(url);
  settings.server.connect_timeout = settings.server.response_timeout = 24h;
  return settings;
}

TEST_F(RedisLookupOnServer, WhatCannotBeDecodedIsSkipped) {
  set("a", "1");
  set("b", "one");
  LookupOptions options = kPatient;
  options.attempts = 2;
  options.failure = LookupFailure::kSkip;
  const auto factory = redis_lookup(patient(server_.url()), &rate_of);
  using Op = AsyncLookup<Payment, std::string, int, std::string Payment::*, WithRate>;
  OperatorHarness h(
      [&](OperatorContext& ctx) {
        return std::make_unique<Op>(ctx, options, factory, &Payment::shop, WithRate{});
      },
      {});
  h.push<Payment>({{{"a", 1}, EventTime{1}}, {{"b", 2}, EventTime{2}}, {{"c", 3}, EventTime{3}}});
  std::vector<std::string> rows;
  std::vector<std::string> failed;
  EXPECT_TRUE(eventually([&] {
    h.advance(1ms);
    for (const auto& row : h.drain<std::string>()) rows.push_back(row.value);
    for (const auto& record : h.drain<Payment>(1)) failed.push_back(record.value.shop);
    return rows.size() + failed.size() == 3;
  }));
  EXPECT_THAT(rows, ElementsAre("a=1", "c=-"));
  EXPECT_THAT(failed, ElementsAre("b"));
  EXPECT_EQ(h.count("tidemill_lookup_requests_total"), 4);
}

TEST_F(RedisLookupOnServer, AJobGoesOnWhenTheServerDoes) {
  const auto script = std::make_shared<Script<Payment>>(std::vector<std::string>{"p0", "p1"});
  const auto graph = std::make_shared<GraphBuilder>();
  const auto written = std::make_shared<MemoryRows>();
  const auto payments = read_events(
      graph, "payments", SourceSpec<Payment>{"script", read_script(script, 0, 2)},
      [](const Payment& payment) { return EventTime{payment.at}; }, Duration(0));
  RedisLookupSettings rates = patient(server_.url());
  rates.key_prefix = "rate:";
  lookup_join(payments, "rates", redis_lookup(rates, &rate_of), &Payment::shop, WithRate{},
              kPatient)
      .sink_to("rows", memory_sink(written),
               [](const std::string& row, EventTime, OutputBatch& out) {
                 out.begin_row();
                 out.end_key();
                 out.buffer() += row;
                 out.end_row();
               });
  PipelineHarness harness(graph->graph(), {.parallelism = 2});
  std::vector<std::string> rows;
  const auto look = [&] {
    for (const MemoryRow& row : written->take_written()) rows.push_back(row.value);
    return rows.size();
  };
  const auto come = [&](std::size_t count) {
    return eventually([&] {
      harness.advance(1ms);
      return look() >= count;
    });
  };

  set("rate:a", "1");
  script->batch(0, {{"a", 1}});
  script->batch(1, {{"b", 1}});
  ASSERT_TRUE(come(2));
  EXPECT_THAT(rows, UnorderedElementsAre("a=1", "b=-"));
  rows.clear();

  server_.kill();
  script->batch(0, {{"a", 2}, {"b", 3}});
  script->batch(1, {{"b", 2}});
  for (int i = 0; i < 20; ++i) harness.advance(1ms);
  look();
  EXPECT_THAT(rows, IsEmpty());
  server_.start();
  set("rate:a", "2");
  ASSERT_TRUE(come(3));
  EXPECT_THAT(rows, UnorderedElementsAre("a=2", "b=-", "b=-"));
  harness.restart(1);
  script->batch(0, {{"a", 5}});
  rows.clear();
  ASSERT_TRUE(come(1));
  EXPECT_THAT(rows, ElementsAre("a=2"));
}

}  // namespace
}  // namespace tidemill
