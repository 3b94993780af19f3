// Look-up joins: bounded, ordered or not, never across a watermark, asked again after a restore.
#include "operators/async_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::OperatorHarness;

struct Event {
  int key = 0;
};
BOOST_DESCRIBE_STRUCT(Event, (), (key))

// A store that answers when the test says so.
struct Server {
  std::vector<std::pair<std::uint64_t, int>> asked;
  std::vector<LookupAnswer<std::string>> answers;

  void answer(int key, const std::string& error = "") {
    for (auto it = asked.begin(); it != asked.end(); ++it) {
      if (it->second != key) continue;
      answers.push_back({it->first, "v" + std::to_string(key), error});
      asked.erase(it);
      return;
    }
    ADD_FAILURE() << "nobody has asked for " << key;
  }
};
class Client final : public LookupClient<int, std::string> {
 public:
  explicit Client(Server& server) : server_(server) {
    server_.asked.clear();
    server_.answers.clear();
  }
  void request(std::uint64_t number, const int& key) override {
    server_.asked.emplace_back(number, key);
  }
  void poll(std::vector<LookupAnswer<std::string>>& answers) override {
    for (auto& answer : std::exchange(server_.answers, {})) answers.push_back(std::move(answer));
  }

 private:
  Server& server_;
};
struct Text {
  std::string operator()(const Event& event, const std::string* value) const {
    return std::to_string(event.key) + "=" + (value != nullptr ? *value : "-");
  }
};
using Op = AsyncLookup<Event, int, std::string, int Event::*, Text>;

class AsyncLookupTest : public ::testing::Test {
 protected:
  OperatorHarness::Make make(const LookupOptions& options) {
    return [this, options](OperatorContext& ctx) {
      return std::make_unique<Op>(
          ctx, options, [this](const Clock&) { return std::make_unique<Client>(server_); },
          &Event::key, Text{});
    };
  }
  static std::vector<std::string> rows(OperatorHarness& h) {
    std::vector<std::string> all;
    for (const auto& row : h.drain<std::string>()) all.push_back(row.value);
    return all;
  }
  static void push(OperatorHarness& h, const std::vector<int>& keys) {
    Batch<Event> batch;
    for (const int key : keys) batch.append({key}, EventTime{key});
    h.push(std::move(batch));
  }
  Server server_;
};

TEST_F(AsyncLookupTest, RowsComeAsTheAnswersDoOrInOrder) {
  for (const bool is_ordered : {false, true}) {
    OperatorHarness h(make({.in_flight = 2, .is_ordered = is_ordered}), {});
    push(h, {1, 2, 3});
    EXPECT_EQ(server_.asked.size(), 2) << "no more in flight";
    server_.answer(2);
    h.advance(1ms);
    if (is_ordered) {
      EXPECT_THAT(rows(h), IsEmpty());
    } else {
      EXPECT_THAT(rows(h), ElementsAre("2=v2"));
    }
    server_.answer(1);
    server_.answer(3);
    h.advance(1ms);
    if (is_ordered) {
      EXPECT_THAT(rows(h), ElementsAre("1=v1", "2=v2", "3=v3"));
    } else {
      EXPECT_THAT(rows(h), ElementsAre("1=v1", "3=v3"));
    }
  }
}

TEST_F(AsyncLookupTest, AWatermarkWaitsForTheAnswersBeforeItAndARestoreAsksAgain) {
  OperatorHarness h(make({}), {});
  push(h, {1});
  h.begin_watermark(EventTime{5});
  EXPECT_EQ(h.forwarded(), EventTime::min());
  h.restart();
  h.advance(1ms);
  EXPECT_EQ(server_.asked.size(), 1);
  server_.answer(1);
  EXPECT_TRUE(h.finish_watermark());
  EXPECT_THAT(rows(h), ElementsAre("1=v1"));
  EXPECT_EQ(h.forwarded(), EventTime{5});
}

TEST_F(AsyncLookupTest, TriesAgainAndThenGivesUp) {
  OperatorHarness h(
      make({.timeout = 10ms, .attempts = 2, .pause = 5ms, .failure = LookupFailure::kSkip}), {});
  push(h, {1, 2});
  server_.answer(2, "busy");
  h.advance(1ms);
  h.advance(5ms);
  server_.answer(2);
  h.advance(1ms);
  EXPECT_THAT(rows(h), ElementsAre("2=v2"));
  h.advance(3ms);   // the first attempt for 1 times out
  h.advance(5ms);   // the second is sent
  h.advance(10ms);  // and times out
  EXPECT_EQ(h.drain<Event>(1).size(), 1);
  EXPECT_EQ(h.count("tidemill_lookup_failures_total"), 1);
}

TEST_F(AsyncLookupTest, RemembersAnswersForTheirTtl) {
  OperatorHarness h(make({.cache_size = 1, .cache_ttl = 100ms}), {});
  push(h, {1});
  server_.answer(1);
  h.advance(1ms);
  push(h, {1});
  EXPECT_THAT(rows(h), ElementsAre("1=v1", "1=v1"));
  EXPECT_EQ(h.count("tidemill_lookup_cache_hits_total"), 1);
  h.advance(100ms);
  push(h, {1});
  EXPECT_EQ(server_.asked.size(), 1);
}

}  // namespace
}  // namespace tidemill
