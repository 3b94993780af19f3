#include "service/tools/output_verify.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include <boost/json.hpp>

#include "engine/base/error.h"
#include "service/tools/verify_outputs.h"

namespace tidemill::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr std::int64_t kNow = 1'767'225'600'000;  // 2026-01-01T00:00:00Z
constexpr std::int64_t kHour = 3'600'000;

// As the job writes it; its time is `second` seconds into 2026.
std::string row(int second, int count, const std::string& event_time = "\"x\"") {
  return R"({"count":)" + std::to_string(count) + R"(,"event_time":)" + event_time +
         R"(,"computed_at":"2026-01-01T00:00:)" + (second < 10 ? "0" : "") +
         std::to_string(second) + R"(.000Z"})";
}
std::string silent(int second) { return row(second, 0, "null"); }

class OutputVerifyTest : public ::testing::Test {
 protected:
  void committed(const std::string& key, const std::string& text, std::int64_t at_ms = 0) {
    verify_->add_committed({key, text, at_ms});
  }
  void tombstone(const std::string& key, std::int64_t at_ms) {
    verify_->add_committed({key, std::nullopt, at_ms});
  }
  // What Redis has; all of it is read.
  void stored(const std::map<std::string, std::string>& rows, std::int64_t now_ms = kNow) {
    for (const auto& [key, text] : rows) verify_->add_key(key);
    read_again(verify_->choose(), rows, now_ms);
  }
  void read_again(const std::vector<std::string>& keys,
                  const std::map<std::string, std::string>& rows, std::int64_t now_ms = kNow) {
    for (const std::string& key : keys) {
      const auto found = rows.find(key);
      verify_->set_stored(
          key, found == rows.end() ? std::nullopt : std::optional<std::string_view>(found->second),
          now_ms);
    }
  }
  [[nodiscard]] boost::json::object result(std::size_t show = 20) const {
    return boost::json::parse(verify_->json(show)).as_object();
  }
  // "kind: number" of each that there is.
  [[nodiscard]] std::map<std::string, int> counts() const {
    std::map<std::string, int> found;
    for (const auto& member : result()) {
      if (member.key() == "seed" || member.key() == "differences") continue;
      if (const int count = member.value().to_number<int>()) found[member.key()] = count;
    }
    return found;
  }
  void start(OutputVerify::Rules rules) { verify_.emplace(std::move(rules)); }

  std::optional<OutputVerify> verify_{OutputVerify::Rules{}};
};

using Counts = std::map<std::string, int>;

TEST_F(OutputVerifyTest, NamesWhatIsWrongWithEachKey) {
  committed("equal", row(1, 1));
  committed("equal", row(2, 2));  // the last one counts
  committed("ahead", row(1, 1));
  committed("behind", row(3, 3));
  committed("missing", row(1, 1));
  committed("different", row(1, 1));
  stored({{"equal", row(2, 2)},
          {"ahead", row(2, 2)},
          {"behind", row(2, 2)},
          {"different", row(1, 2)},
          {"unknown", row(1, 1)}});
  EXPECT_EQ(counts(), (Counts{{"sampled", 6},
                              {"equal", 1},
                              {"ahead", 1},
                              {"behind", 1},
                              {"missing", 1},
                              {"different", 1},
                              {"unknown", 1}}));
  const auto all = result();
  const auto& differences = all.at("differences").as_array();
  ASSERT_EQ(differences.size(), 5);
  std::vector<std::string> kinds;
  for (const auto& one : differences) {
    kinds.emplace_back(one.at("kind").as_string());
    EXPECT_EQ(one.at("key").as_string(), one.at("kind").as_string());
  }
  EXPECT_THAT(kinds, ElementsAre("behind", "missing", "different", "unknown", "ahead"));
  EXPECT_EQ(differences[0].at("redis").at("count").as_int64(), 2);
  EXPECT_EQ(differences[0].at("committed").at("count").as_int64(), 3);
  EXPECT_TRUE(differences[1].at("redis").is_null());
  EXPECT_TRUE(differences[3].at("committed").is_null());
  EXPECT_EQ(result(2).at("differences").as_array().size(), 2);
  EXPECT_EQ(result(0).at("differences").as_array().size(), 0);
}

TEST_F(OutputVerifyTest, TimesMayBeNumbersAndRowsWithoutOneAreOnlyDifferent) {
  committed("a", R"({"computed_at":999})");
  committed("b", R"({"n":1})");
  committed("c", "text");
  committed("d", "text");
  stored({{"a", R"({"computed_at":1000})"}, {"b", R"({"n":2})"}, {"c", "text"}, {"d", "other"}});
  EXPECT_EQ(counts(), (Counts{{"sampled", 4}, {"ahead", 1}, {"different", 2}, {"equal", 1}}));
}

TEST_F(OutputVerifyTest, AKeyIsRightlyAbsentIfItsLastRowSaysSo) {
  committed("silent", row(1, 1));
  committed("silent", silent(5));
  committed("deleted", row(1, 1));
  tombstone("deleted", kNow + 5000);
  stored({});
  EXPECT_EQ(counts(), (Counts{{"sampled", 2}, {"absent", 2}}));
  EXPECT_THAT(verify_->doubtful(), IsEmpty());
}

TEST_F(OutputVerifyTest, ADeletedKeyThatIsThereIsOlderOrNewerThanItsDeletion) {
  committed("risen", silent(5));
  committed("back", silent(5));
  committed("same", silent(5));
  tombstone("stays", kNow + 5000);
  stored({{"risen", row(4, 1)}, {"back", row(6, 1)}, {"same", silent(5)}, {"stays", row(4, 1)}});
  EXPECT_EQ(counts(), (Counts{{"sampled", 4}, {"behind", 2}, {"ahead", 1}, {"different", 1}}));
}

TEST_F(OutputVerifyTest, AKeyWhoseTimeToLiveMayBeOverIsNotMissing) {
  start({.ttl_ms = kHour});
  committed("old", row(1, 1));                   // by the time of its row
  committed("record", row(1, 1), kNow + kHour);  // its record or file is from an hour later
  stored({}, kNow + kHour + 30'000);
  EXPECT_EQ(counts(), (Counts{{"sampled", 2}, {"expired", 1}, {"missing", 1}}));
  EXPECT_EQ(verify_->doubtful(), std::vector<std::string>{"record"});

  start({.ttl_ms = kHour, .since_ms = kNow + kHour});  // the past was put out an hour later
  committed("old", row(1, 1));
  stored({}, kNow + kHour + 30'000);
  EXPECT_EQ(counts(), (Counts{{"sampled", 1}, {"missing", 1}}));

  start({});  // keys stay
  committed("old", row(1, 1));
  stored({}, kNow + 1000 * kHour);
  EXPECT_EQ(counts(), (Counts{{"sampled", 1}, {"missing", 1}}));
}

TEST_F(OutputVerifyTest, WhatRedisHadIsRightOnceItIsCommitted) {
  committed("moves", row(1, 1));
  committed("same-time", row(1, 1));
  committed("goes", row(1, 1));
  committed("calm", row(1, 1));
  const std::map<std::string, std::string> redis = {
      {"moves", row(2, 2)}, {"same-time", row(1, 2)}, {"new", row(2, 1)}, {"calm", row(1, 1)}};
  stored(redis);
  EXPECT_EQ(counts(), (Counts{{"sampled", 5},
                              {"ahead", 1},
                              {"different", 1},
                              {"missing", 1},
                              {"unknown", 1},
                              {"equal", 1}}));
  EXPECT_THAT(verify_->doubtful(), UnorderedElementsAre("moves", "same-time", "goes", "new"));
  // The job went on: what was seen is committed, and more than that.
  committed("moves", row(2, 2));
  committed("moves", row(3, 3));
  committed("same-time", row(1, 2));
  committed("same-time", row(1, 3));
  committed("goes", silent(2));
  committed("goes", row(3, 1));
  committed("new", row(2, 1));
  committed("calm", row(4, 4));
  committed("of-another-sample", row(4, 4));
  EXPECT_THAT(verify_->doubtful(), IsEmpty());
  EXPECT_EQ(counts(), (Counts{{"sampled", 5}, {"equal", 4}, {"absent", 1}}));
}

TEST_F(OutputVerifyTest, WhatStaysWrongIsReportedAsItIsInTheEnd) {
  committed("mended", row(1, 1));
  committed("wrong", row(1, 1));
  committed("gone", row(1, 1));
  stored({{"wrong", row(1, 7)}});
  committed("wrong", row(2, 2));
  EXPECT_THAT(verify_->doubtful(), UnorderedElementsAre("mended", "wrong", "gone"));
  read_again(verify_->doubtful(), {{"mended", row(1, 1)}, {"wrong", row(1, 7)}});
  EXPECT_THAT(verify_->doubtful(), UnorderedElementsAre("wrong", "gone"));
  EXPECT_EQ(counts(), (Counts{{"sampled", 3}, {"equal", 1}, {"behind", 1}, {"missing", 1}}));
}

TEST_F(OutputVerifyTest, TheAnswerIsJsonWhateverKeysAndRowsAre) {
  committed("\xff\x01\"", "\xfe");
  committed("long", std::string(100'000, 'x'));
  committed("number", R"({"mean":210.66666666666666})");
  stored({{"number", R"({"mean":210.66666666666663})"}});
  const std::string text = verify_->json(20);
  EXPECT_NE(text.find("210.66666666666666"), std::string::npos) << text;
  EXPECT_NE(text.find("210.66666666666663"), std::string::npos) << text;
  EXPECT_NE(text.find("\"\xef\xbf\xbd\\u0001\\\"\""), std::string::npos) << text;
  EXPECT_LT(text.size(), 20'000);
  EXPECT_EQ(result().at("differences").as_array().size(), 3);
}

TEST_F(OutputVerifyTest, ManyLargeDifferencesStayBelowWhatTheServerKeeps) {
  for (int i = 0; i < 200; ++i)
    committed(std::to_string(i), std::string(10'000, i % 2 == 0 ? 'x' : '\xff'));
  stored({});
  EXPECT_LT(verify_->json(1000).size(), 1'000'000);
  EXPECT_EQ(result().at("missing").as_int64(), 200);
}

// The sample of these keys, which are on one side, the other, or both.
std::set<std::string> sample_of(std::uint64_t seed, int num_keys, int side_of_each) {
  OutputVerify verify({.sample = 100, .seed = seed});
  for (int pass = 0; pass < 2; ++pass) {  // some keys come more than once
    for (int i = 0; i < num_keys; ++i) {
      const std::string key = "u" + std::to_string(i);
      const int side = side_of_each == 3 ? i % 3 : side_of_each;
      if (side != 1) verify.add_committed({key, row(pass, 1)});
      if (side != 0) verify.add_key(key);
    }
  }
  const auto chosen = verify.choose();
  return {chosen.begin(), chosen.end()};
}

TEST(OutputVerifySample, IsOfTheKeysOfBothSidesAndTheSameForASeed) {
  for (const std::uint64_t seed : {0U, 1U, 2U}) {
    const auto sample = sample_of(seed, 5000, 2);
    EXPECT_EQ(sample.size(), 100);
    for (const int side : {0, 1, 3}) EXPECT_EQ(sample_of(seed, 5000, side), sample) << side;
  }
  EXPECT_NE(sample_of(1, 5000, 2), sample_of(2, 5000, 2));
  EXPECT_EQ(sample_of(1, 70, 3).size(), 70);
}

TEST(OutputVerifySample, TakesEachKeyEquallyOften) {
  constexpr int kSeeds = 500;
  std::map<std::string, int> taken;
  for (int seed = 0; seed < kSeeds; ++seed) {
    for (const std::string& key : sample_of(static_cast<std::uint64_t>(seed), 400, 3)) ++taken[key];
  }
  ASSERT_EQ(taken.size(), 400);
  double chi_square = 0;
  constexpr double kExpected = kSeeds * 100 / 400.0;
  for (const auto& [key, times] : taken)
    chi_square += (times - kExpected) * (times - kExpected) / (kExpected * 0.75);
  // 399 degrees of freedom: 400 and 28 are its mean and deviation.
  EXPECT_NEAR(chi_square, 400, 5 * 28);
}

Settings with(std::map<std::string, std::string> more) {
  Settings settings = {{"sinks.redis.url", "redis://127.0.0.1"},
                       {"features.windows", "5m,24h,1h"},
                       {"features.resolution", "auto"},
                       {"sinks.redis.ttl", "auto"}};
  more.merge(settings);
  return more;
}

TEST(VerifyOutputs, TheTimeToLiveIsTheSinks) {
  EXPECT_EQ(redis_ttl_of(with({})), 24 * kHour + 24 * 60'000);
  EXPECT_EQ(redis_ttl_of(with({{"features.resolution", "exact"}})), 24 * kHour + 1);
  EXPECT_EQ(redis_ttl_of(with({{"features.resolution", "1h"}})), 25 * kHour);
  EXPECT_EQ(redis_ttl_of(with({{"sinks.redis.ttl", "2h"}})), 2 * kHour);
  EXPECT_EQ(redis_ttl_of(with({{"sinks.redis.ttl", "0"}})), std::nullopt);
  EXPECT_EQ(redis_ttl_of({}), std::nullopt);
}

TEST(VerifyOutputs, NeedsRedisAndCommittedRows) {
  EXPECT_EQ(committed_output_of(with({{"sinks.kafka.topic", "t"}, {"sinks.file.dir", "d"}})),
            Output::kKafka);
  EXPECT_EQ(committed_output_of(with({{"sinks.file.dir", "d"}})), Output::kFile);
  for (const Settings& settings : {with({}), Settings{{"sinks.kafka.topic", "t"}}}) {
    try {
      (void)committed_output_of(settings);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kRefused);
    }
  }
}

}  // namespace
}  // namespace tidemill::tools
