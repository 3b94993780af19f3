#include "connectors/formats/json_writer.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <optional>
#include <random>
#include <rapidcheck.h>
#include <string>

#include <boost/describe/class.hpp>
#include <boost/json/src.hpp>

#include "engine/base/time.h"

namespace tidemill {
namespace {

struct Row {
  std::string user_id;
  std::int64_t event_count = 0;
  std::uint64_t hash = 0;
  bool is_new = false;
  std::optional<double> average;
  EventTime at{};
};
BOOST_DESCRIBE_STRUCT(Row, (), (user_id, event_count, hash, is_new, average, at))

struct Empty {};
BOOST_DESCRIBE_STRUCT(Empty, (), ())

template <class V>
std::string json(const V& value) {
  std::string out;
  append_json(out, value);
  return out;
}

TEST(JsonWriter, EscapesWhatMustBe) {
  EXPECT_EQ(json(std::string_view("plain text of more than eight bytes")),
            "\"plain text of more than eight bytes\"");
  EXPECT_EQ(json(std::string_view("a\"b\\c/d")), R"("a\"b\\c/d")");
  EXPECT_EQ(json(std::string_view("\b\f\n\r\t\x01\x1f\x7f")),
            "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
  EXPECT_EQ(json(std::string_view("a\0b", 3)), "\"a\\u0000b\"");
  EXPECT_EQ(json(std::string_view("Zürich 東京 😀")), "\"Zürich 東京 😀\"");
  EXPECT_EQ(json(std::string_view("")), "\"\"");
}

TEST(JsonWriter, ReplacesBytesThatAreNoUtf8) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(json(std::string_view("a\xff"
                                  "b")),
            "\"a" + r + "b\"");
  EXPECT_EQ(json(std::string_view("\xc3")), "\"" + r + "\"");                  // cut short
  EXPECT_EQ(json(std::string_view("\xc0\xaf")), "\"" + r + r + "\"");          // overlong
  EXPECT_EQ(json(std::string_view("\xed\xa0\x80")), "\"" + r + r + r + "\"");  // a surrogate
  EXPECT_EQ(json(std::string_view("\xf4\x90\x80\x80")),
            "\"" + r + r + r + r + "\"");  // beyond U+10FFFF
}

// RFC 8785 appendix B, by bits, and what ECMAScript prints at the edges of its two forms.
TEST(JsonWriter, PrintsDoublesAsRfc8785Does) {
  const auto of = [](std::uint64_t bits) { return json(std::bit_cast<double>(bits)); };
  EXPECT_EQ(of(0x0000000000000000), "0");
  EXPECT_EQ(of(0x8000000000000000), "0");
  EXPECT_EQ(of(0x0000000000000001), "5e-324");
  EXPECT_EQ(of(0x8000000000000001), "-5e-324");
  EXPECT_EQ(of(0x7fefffffffffffff), "1.7976931348623157e+308");
  EXPECT_EQ(of(0xffefffffffffffff), "-1.7976931348623157e+308");
  EXPECT_EQ(of(0x4340000000000000), "9007199254740992");
  EXPECT_EQ(of(0xc340000000000000), "-9007199254740992");
  EXPECT_EQ(of(0x4430000000000000), "295147905179352830000");
  EXPECT_EQ(of(0x44b52d02c7e14af5), "9.999999999999997e+22");
  EXPECT_EQ(of(0x44b52d02c7e14af6), "1e+23");
  EXPECT_EQ(of(0x44b52d02c7e14af7), "1.0000000000000001e+23");
  EXPECT_EQ(of(0x444b1ae4d6e2ef4e), "999999999999999700000");
  EXPECT_EQ(of(0x444b1ae4d6e2ef4f), "999999999999999900000");
  EXPECT_EQ(of(0x444b1ae4d6e2ef50), "1e+21");
  EXPECT_EQ(of(0x3eb0c6f7a0b5ed8c), "9.999999999999997e-7");
  EXPECT_EQ(of(0x3eb0c6f7a0b5ed8d), "0.000001");
  EXPECT_EQ(of(0x41b3de4355555553), "333333333.3333332");
  EXPECT_EQ(of(0x41b3de4355555557), "333333333.33333343");
  EXPECT_EQ(of(0xbecbf647612f3696), "-0.0000033333333333333333");
  EXPECT_EQ(of(0x43143ff3c1cb0959), "1424953923781206.2");
  EXPECT_EQ(json(3.0), "3");
  EXPECT_EQ(json(100000.0), "100000");
  EXPECT_EQ(json(0.1), "0.1");
  EXPECT_EQ(json(-2.5), "-2.5");
  EXPECT_EQ(json(std::numeric_limits<double>::quiet_NaN()), "null");
  EXPECT_EQ(json(-std::numeric_limits<double>::infinity()), "null");
}

TEST(JsonWriter, WritesObjectsAndListsByHand) {
  std::string out = "kept ";
  JsonWriter(out)
      .begin_object()
      .field("text", "literal")
      .field("flag", true)
      .field("n", -7)
      .field("big", std::numeric_limits<std::uint64_t>::max())
      .field("none", nullptr)
      .field("maybe", std::optional<double>())
      .field("at", EventTime{0})
      .key("list")
      .begin_array()
      .value(1)
      .begin_array()
      .end_array()
      .begin_object()
      .end_object()
      .value(std::string("x"))
      .end_array()
      .field("last", 0.5f)
      .end_object();
  EXPECT_EQ(
      out,
      R"(kept {"text":"literal","flag":true,"n":-7,"big":18446744073709551615,"none":null,"maybe":null,)"
      R"("at":"1970-01-01T00:00:00.000Z","list":[1,[],{},"x"],"last":0.5})");
}

TEST(JsonWriter, WritesStructsInTheOrderOfTheirFields) {
  const JsonEncoder<Row> encoder;
  std::string out;
  encoder.encode({.user_id = "u\"1",
                  .event_count = -3,
                  .hash = 9,
                  .is_new = true,
                  .average = std::nullopt,
                  .at = {1}},
                 out);
  EXPECT_EQ(
      out,
      R"({"user_id":"u\"1","event_count":-3,"hash":9,"is_new":true,"average":null,"at":"1970-01-01T00:00:00.001Z"})");

  const JsonEncoder<Row> renamed(
      JsonFields<Row>{{"a \"b\"", &Row::average}, {"user", &Row::user_id}});
  out.clear();
  renamed.encode({.user_id = "u", .average = 3.0}, out);
  EXPECT_EQ(out, R"({"a \"b\"":3,"user":"u"})");

  out.clear();
  JsonEncoder<Empty>().encode({}, out);
  EXPECT_EQ(out, "{}");
}

TEST(JsonWriterProperty, EveryDoubleReadsBackEqualAndNoOtherFormIsShorterInDigits) {
  EXPECT_TRUE(rc::check([] {
    const double value = std::bit_cast<double>(*rc::gen::arbitrary<std::uint64_t>());
    RC_PRE(std::isfinite(value));
    const std::string text = json(value);
    double back = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), back);
    RC_ASSERT(parsed.ec == std::errc() && parsed.ptr == text.data() + text.size());
    RC_ASSERT(back == value);
    RC_ASSERT(boost::json::parse(text).is_number());
  }));
}

// All doubles that have a fraction and print without an exponent: near powers of two and ten, of
// few and of many digits.
TEST(JsonWriterProperty, DoublesHaveTheDigitsOfTheStandardLibrary) {
  std::mt19937_64 random(1);
  const auto check = [](double value) {
    const double magnitude = std::abs(value);
    if (!(magnitude >= 1e-6 && magnitude < 0x1p53) || std::trunc(value) == value) return;
    char text[64];
    const char* end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr;
    ASSERT_EQ(json(value), std::string_view(text, static_cast<std::size_t>(end - text)));
  };
  for (std::uint64_t exponent = 1023 - 20; exponent < 1023 + 53; ++exponent) {
    for (int n = 0; n < 3000; ++n)
      check(std::bit_cast<double>((random() & 0x800FFFFFFFFFFFFF) | exponent << 52));
    for (std::int64_t n = -300; n <= 300; ++n)
      check(std::bit_cast<double>(static_cast<std::int64_t>(exponent << 52) + n));
  }
  double power = 1e-6;
  for (int digits = 0; digits < 21; ++digits, power *= 10) {
    for (int n = 0; n < 3000; ++n) {
      const double value = static_cast<double>(random() % 1000) * power;
      for (const double v : {value, std::nextafter(value, 1e300), std::nextafter(value, 0)})
        check(v);
      check(static_cast<double>(random() % 100000) / static_cast<double>(random() % 100 + 1));
    }
  }
}

TEST(JsonWriterProperty, DoublesOfEverydaySizeReadBackEqual) {
  EXPECT_TRUE(rc::check([] {
    const double value =
        static_cast<double>(*rc::gen::inRange<std::int64_t>(-1'000'000'000, 1'000'000'000)) /
        std::pow(10, *rc::gen::inRange(0, 12));
    const std::string text = json(value);
    double back = 0;
    std::from_chars(text.data(), text.data() + text.size(), back);
    RC_ASSERT(back == value);
    RC_ASSERT(text.size() <= 24u);
  }));
}

TEST(JsonWriterProperty, AnyBytesBecomeJsonThatReadsBack) {
  EXPECT_TRUE(rc::check([](const std::string& bytes) {
    const boost::json::value parsed = boost::json::parse(json(std::string_view(bytes)));
    RC_ASSERT(parsed.is_string());
    const bool is_ascii = std::all_of(bytes.begin(), bytes.end(),
                                      [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    if (is_ascii) RC_ASSERT(std::string_view(parsed.get_string()) == bytes);
  }));
}

}  // namespace
}  // namespace tidemill
