#include <gtest/gtest.h>

#include "service/scenario/spelling.h"

namespace tidemill::scenario {
namespace {

std::optional<std::string> row(const std::string& text) {
  std::vector<std::string_view> words;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    words.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return canonical_row(words);
}

TEST(SpellingTest, TimesAreReadWithTheirUnits) {
  EXPECT_EQ(read_time("5"), EventTime{5});
  EXPECT_EQ(read_time("5ms"), EventTime{5});
  EXPECT_EQ(read_time("-4s"), EventTime{-4000});
  EXPECT_EQ(read_time("2m"), EventTime{120000});
  EXPECT_EQ(read_time("1h"), EventTime{3600000});
  EXPECT_EQ(read_time("1d"), EventTime{86400000});
  EXPECT_EQ(read_time("inf"), std::nullopt);
  EXPECT_EQ(read_time("inf", Infinite::kYes), EventTime::max());
  EXPECT_EQ(read_time("-inf", Infinite::kYes), EventTime::min());
  for (const char* wrong :
       {"", "s", "5 s", "+5", "5sec", "1.5s", "106751991168d", "99999999999999999999"}) {
    EXPECT_EQ(read_time(wrong), std::nullopt) << wrong;
  }
}

TEST(SpellingTest, TimesArePrintedWithTheLargestUnitThatDividesThem) {
  EXPECT_EQ(print(EventTime{0}), "0");
  EXPECT_EQ(print(EventTime{-4000}), "-4s");
  EXPECT_EQ(print(EventTime{1500}), "1500ms");
  EXPECT_EQ(print(EventTime{90000}), "90s");
  EXPECT_EQ(print(EventTime{86400000}), "1d");
  EXPECT_EQ(print(EventTime::max()), "inf");
}

TEST(SpellingTest, NumbersArePrintedToSixDecimalsTiesToEven) {
  EXPECT_EQ(print_number(3), "3");
  EXPECT_EQ(print_number(-2.5), "-2.5");
  EXPECT_EQ(print_number(1.0 / 3), "0.333333");
  EXPECT_EQ(print_number(0.0000005), "0");
  EXPECT_EQ(print_number(0.0000015), "0.000002");
  EXPECT_EQ(print_number(1.0000015), "1.000002");
  EXPECT_EQ(print_number(1.0000025), "1.000002");
  EXPECT_EQ(print_number(-0.0000001), "0");
  EXPECT_EQ(print_number(99.9999999), "100");
  EXPECT_EQ(print_number(1e15), "1000000000000000");
}

TEST(SpellingTest, NumbersArePrintedToTheDigitsThatADoubleTellsApart) {
  EXPECT_EQ(print_number(33333333333334.333333), "33333333333334.3");
  EXPECT_EQ(print_number(900000000000000.25), "900000000000000");
  EXPECT_EQ(print_number(-1234567890123456), "-1234567890123460");
  EXPECT_EQ(print_number(9999999999999996), "10000000000000000");
}

TEST(SpellingTest, AnExpectedNumberMayHaveMoreDigits) {
  EXPECT_EQ(row("a@1s=0.3333333333333333"), "a@1s=0.333333");
  EXPECT_EQ(row("a@1s=-0.00000000000000001"), "a@1s=0");
  EXPECT_EQ(row("a@1s=001800000000000000.0"), "a@1s=1800000000000000");
  EXPECT_EQ(row("a@1s=(0.99999999999999999,-9.9999999999999999)"), "a@1s=(1,-10)");
  EXPECT_EQ(row("late a@1s=1.0000000000000000000"), "late a@1s");
}

TEST(SpellingTest, ValuesAreNumbersOrWords) {
  EXPECT_EQ(read_value("1.50"), Value::of(1.5));
  EXPECT_EQ(read_value("-0"), Value::of(0.0));
  EXPECT_EQ(read_value("v1.5"), Value::of(std::string("v1.5")));
  EXPECT_EQ(read_value("1.2.3"), Value::of(std::string("1.2.3")));
  EXPECT_EQ(read_value(""), std::nullopt);
  EXPECT_EQ(read_value("a-b"), std::nullopt);
  EXPECT_EQ(read_value("1234567890123456"), std::nullopt);
}

TEST(SpellingTest, RowsOfEveryKindHaveOneSpelling) {
  EXPECT_EQ(row("a[0ms,10000)=3.50"), "a[0,10s)=3.5");
  EXPECT_EQ(row("a[-inf,inf)=1"), "a[-inf,inf)=1");
  EXPECT_EQ(row("a@60s=(x,-)"), "a@1m=(x,-)");
  EXPECT_EQ(row("a@1s{60m=1,5m=-}"), "a@1s{5m=-,1h=1}");
  EXPECT_EQ(row("a#2=7.0"), "a#2=7");
  EXPECT_EQ(row("w=60s"), "w=1m");
  EXPECT_EQ(row("idle"), "idle");
  EXPECT_EQ(row("late a@1000=1"), "late a@1s");
  EXPECT_EQ(row("late right a@11s=q"), "late right a@11s=q");
  EXPECT_EQ(row("delete a[0,10s)"), "delete a[0,10s)");
  EXPECT_EQ(row("delete a@1000"), "delete a@1s");
  EXPECT_EQ(row("fire a@5000/x"), "fire a@5s/x");
  EXPECT_EQ(row("fire b@p10s"), "fire b@p10s");
}

TEST(SpellingTest, WhatIsNoRowIsSaidToBeNone) {
  for (const char* wrong : {"a", "a[0,10s=1", "a[0,10s)", "a@1s", "late", "late left",
                            "delete a@1s=2", "a@1s{}", "a@1s{5m=1,300s=2}", "a#0=1", "w=",
                            "a-b@1s=1", "fire a@5s/", "nothing", "a@1s=((1)", "late a[0,1s)"}) {
    EXPECT_EQ(row(wrong), std::nullopt) << wrong;
  }
}

TEST(SpellingTest, ValuesSurviveTheirEncoding) {
  for (const Value& value :
       {Value{}, Value::of(-1.5), Value::of(std::string("word")),
        Value::of(std::vector<Value>{Value::of(1.0), Value::of(std::vector<Value>{Value{}})})}) {
    Bytes bytes;
    encode(bytes, value);
    EXPECT_EQ(decode<Value>(bytes), value);
    EXPECT_EQ(hash_value(decode<Value>(bytes)), hash_value(value));
  }
  EXPECT_THROW(decode<Value>(Bytes("\x09", 1)), Error);
}

}  // namespace
}  // namespace tidemill::scenario
