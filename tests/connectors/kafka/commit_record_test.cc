#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>

#include "connectors/kafka/commit_record_json.h"
#include "engine/base/error.h"

namespace tidemill::kafka {
namespace {

using testing::HasSubstr;

CommitRecord sample() {
  SplitPosition read;
  read.split = "user-events:0";
  read.offset = 1234567890123;
  read.watermark = EventTime{-5};
  read.max_time = EventTime::max();
  read.is_finished = true;
  read.tail_offset = 1234567890122;
  read.tail_timestamp = -1;
  read.tail_hash = std::numeric_limits<std::uint64_t>::max();
  read.generator = std::string("\x00\xff\"\n", 4);
  SplitPosition untouched;
  untouched.split = "user-events:1";
  return {.job = "features \"x\"",
          .checkpoint = "7-0a1b",
          .seq = 7,
          .lineage = "l-1",
          .manifest_hash = 0x0123456789abcdef,
          .positions = {{"events", {read, untouched}}, {"empty", {}}}};
}

void expect_equal(const CommitRecord& a, const CommitRecord& b) {
  EXPECT_EQ(a.job, b.job);
  EXPECT_EQ(a.checkpoint, b.checkpoint);
  EXPECT_EQ(a.seq, b.seq);
  EXPECT_EQ(a.lineage, b.lineage);
  EXPECT_EQ(a.manifest_hash, b.manifest_hash);
  EXPECT_EQ(a.positions, b.positions);
}

std::string refusal(const std::string& json) {
  try {
    parse_commit_record(json);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kCorrupt) << json;
    return e.what();
  }
  return "accepted";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(CommitRecordJson, ReadsBackExactlyWhatWasWritten) {
  expect_equal(parse_commit_record(to_json(sample())), sample());
  expect_equal(parse_commit_record(to_json({})), {});
}

TEST(CommitRecordJson, IsReadableByPeople) {
  const std::string json = to_json(sample());
  EXPECT_THAT(json, HasSubstr(R"("checkpoint":"7-0a1b")"));
  EXPECT_THAT(json, HasSubstr(R"("split":"user-events:0","offset":1234567890123)"));
  EXPECT_THAT(json, HasSubstr(R"("manifest_hash":"0123456789abcdef")"));
}

TEST(CommitRecordJson, IgnoresMembersOfTheFuture) {
  const std::string json = replaced(to_json(sample()), "{", R"({"new":[1,{"x":null}],)");
  expect_equal(parse_commit_record(json), sample());
}

TEST(CommitRecordJson, SaysWhatIsWrong) {
  const std::string good = to_json(sample());
  EXPECT_THAT(refusal(""), HasSubstr("no JSON"));
  EXPECT_THAT(refusal("garbage"), HasSubstr("no JSON"));
  EXPECT_THAT(refusal(good.substr(0, good.size() / 2)), HasSubstr("no JSON"));
  EXPECT_THAT(refusal("[]"), HasSubstr("format"));
  EXPECT_THAT(refusal("17"), HasSubstr("format"));
  EXPECT_THAT(refusal(replaced(good, R"("format":1)", R"("format":2)")), HasSubstr("newer"));
  EXPECT_THAT(refusal(replaced(good, R"("seq":7)", R"("seq":-7)")), HasSubstr("seq"));
  EXPECT_THAT(refusal(replaced(good, R"("seq":7)", R"("seq":"7")")), HasSubstr("seq"));
  EXPECT_THAT(refusal(replaced(good, R"("offset":1234567890123)", R"("offset":-1)")),
              HasSubstr("offset"));
  EXPECT_THAT(refusal(replaced(good, R"("offset":1234567890123)", R"("offset":1e30)")),
              HasSubstr("offset"));
  EXPECT_THAT(refusal(replaced(good, R"("lineage":)", R"("lineagf":)")), HasSubstr("lineage"));
  EXPECT_THAT(refusal(replaced(good, "0123456789abcdef", "0123456789abcdeg")), HasSubstr("hash"));
  EXPECT_THAT(refusal(replaced(good, "0123456789abcdef", "0123")), HasSubstr("hash"));
  EXPECT_THAT(refusal(replaced(good, "00ff220a", "00ff220")), HasSubstr("generator"));
  EXPECT_THAT(refusal(replaced(good, "00ff220a", "00ff22zz")), HasSubstr("generator"));
  EXPECT_THAT(refusal(replaced(good, R"("finished":true)", R"("finished":"yes")")),
              HasSubstr("finished"));
  EXPECT_THAT(refusal(replaced(good, R"("sources":[)", R"("sources":[7,)")), HasSubstr("source"));
}

TEST(CommitRecordJson, SurvivesEveryTruncationAndFlippedByte) {
  const std::string good = to_json(sample());
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_NE(refusal(good.substr(0, n)), "accepted");
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x15);
    refusal(bad);  // some are valid again; none may crash
  }
}

}  // namespace
}  // namespace tidemill::kafka
