#include "service/tools/output_diff.h"

#include <gtest/gtest.h>
#include <string>

#include <boost/json.hpp>

namespace tidemill::tools {
namespace {

std::string row(int at, int count) {
  return R"({"computed_at":"2026-01-01T00:00:)" + std::to_string(10 + at) + R"(Z","count":)" +
         std::to_string(count) + "}";
}

boost::json::object result(const OutputDiff& diff, std::size_t show = 20) {
  return boost::json::parse(diff.json("rows", show)).as_object();
}

TEST(OutputDiff, ComparesTheLastRowOfEachKeyAndWindow) {
  OutputDiff diff;
  diff.add_replay("a", row(1, 1));
  diff.add_replay("a", row(1, 2));  // an update: it counts
  diff.add_replay("a", row(2, 5));
  diff.add_replay("b", row(3, 7));
  diff.add_replay("c", row(5, 1));
  diff.add_live("a", row(1, 2));
  diff.add_live("a", R"({"count":6,"computed_at":"2026-01-01T00:00:12Z"})");
  diff.add_live("d", row(4, 1));
  diff.add_live("b", row(3, 7));
  diff.add_live("a", row(0, 9));  // before and behind what the replay covers
  diff.add_live("a", row(6, 9));
  const auto found = result(diff);
  EXPECT_EQ(found.at("keys").to_number<int>(), 4);
  EXPECT_EQ(found.at("equal").to_number<int>(), 2);
  EXPECT_EQ(found.at("different").to_number<int>(), 1);
  EXPECT_EQ(found.at("only_live").to_number<int>(), 1);
  EXPECT_EQ(found.at("only_replay").to_number<int>(), 1);
  EXPECT_EQ(found.at("outside").to_number<int>(), 2);
  EXPECT_EQ(found.at("one_key_in").to_number<int>(), 1);
  EXPECT_EQ(found.at("last_window").as_string(), "2026-01-01T00:00:15Z");
  const auto& differences = found.at("differences").as_array();
  ASSERT_EQ(differences.size(), 3);
  EXPECT_EQ(boost::json::serialize(differences[0]),
            R"({"key":"a","window":"2026-01-01T00:00:12Z",)"
            R"("live":{"count":6,"computed_at":"2026-01-01T00:00:12Z"},)"
            R"("replay":{"computed_at":"2026-01-01T00:00:12Z","count":5}})");
  EXPECT_TRUE(differences[1].at("replay").is_null() || differences[1].at("live").is_null());
  EXPECT_EQ(result(diff, 1).at("differences").as_array().size(), 1);
}

TEST(OutputDiff, ComparesRowsWithoutAWindowByKey) {
  OutputDiff diff;
  diff.add_replay("a", "text");
  diff.add_replay("b", R"({"count":1})");
  diff.add_live("a", "text");
  diff.add_live("b", R"({"count":2})");
  const auto found = result(diff);
  EXPECT_EQ(found.at("equal").to_number<int>(), 1);
  EXPECT_EQ(found.at("different").to_number<int>(), 1);
  EXPECT_TRUE(found.at("first_window").is_null());
}

TEST(OutputDiff, ShowsNumbersAsTheyWereWritten) {
  OutputDiff diff;
  diff.add_replay("a", R"({"mean":210.66666666666666})");
  diff.add_live("a", R"({"mean":210.66666666666663})");
  diff.add_replay("b", "\xff");
  const std::string text = diff.json("rows", 5);
  EXPECT_NE(text.find(R"({"mean":210.66666666666666})"), std::string::npos) << text;
  EXPECT_NE(text.find(R"({"mean":210.66666666666663})"), std::string::npos) << text;
  EXPECT_EQ(text.find('\xff'), std::string::npos);
  EXPECT_EQ(result(diff).at("different").to_number<int>(), 1);
}

TEST(OutputDiff, KnowsWindowsByTheirNames) {
  EXPECT_EQ(OutputDiff::window_of(R"({"computed_at":5,"window_start":900})"), "900");
  EXPECT_EQ(OutputDiff::window_of(R"({"window":"w"})"), "w");
  EXPECT_EQ(OutputDiff::window_of("[1]"), "");
  OutputDiff diff;  // numbers of different lengths
  diff.add_replay("a", R"({"window_end":900})");
  diff.add_replay("a", R"({"window_end":1100})");
  diff.add_live("a", R"({"window_end":1000})");
  EXPECT_EQ(result(diff).at("only_live").to_number<int>(), 1);
  EXPECT_EQ(result(diff).at("first_window").as_string(), "900");
}

TEST(OutputDiff, GivesUpWholeKeysWhenTheyAreTooMany) {
  OutputDiff diff(100'000);
  const auto key = [](int i) { return "user-" + std::to_string(i); };
  for (int i = 0; i < 5000; ++i) diff.add_replay(key(i), row(1, i));
  for (int i = 0; i < 5000; ++i) diff.add_live(key(i), row(1, i));
  const auto found = result(diff);
  const int one_in = found.at("one_key_in").to_number<int>();
  const int keys = found.at("keys").to_number<int>();
  EXPECT_GT(one_in, 1);
  EXPECT_NEAR(keys * one_in, 5000, 1500);
  EXPECT_EQ(found.at("equal").to_number<int>(), keys);
}

}  // namespace
}  // namespace tidemill::tools
