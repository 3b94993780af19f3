#include "connectors/formats/json_reader.h"

#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/describe/class.hpp>

#include "engine/base/error.h"
#include "engine/base/time.h"

namespace tidemill {
namespace {

struct UserEvent {
  std::string user_id;
  std::string action;
  double value = 0;
  EventTime timestamp{};
};
BOOST_DESCRIBE_STRUCT(UserEvent, (), (user_id, action, value, timestamp))

struct Every {
  bool b = false;
  std::int64_t i = 0;
  std::uint64_t u = 0;
  double d = 0;
  std::string s;
  EventTime t{};
  std::optional<bool> ob;
  std::optional<std::int64_t> oi;
  std::optional<std::uint64_t> ou;
  std::optional<double> od;
  std::optional<std::string> os;
  std::optional<EventTime> ot;
};
BOOST_DESCRIBE_STRUCT(Every, (), (b, i, u, d, s, t, ob, oi, ou, od, os, ot))

template <class M>
struct One {
  M x{};
};
BOOST_DESCRIBE_STRUCT(One<std::int64_t>, (), (x))
BOOST_DESCRIBE_STRUCT(One<std::uint64_t>, (), (x))
BOOST_DESCRIBE_STRUCT(One<double>, (), (x))
BOOST_DESCRIBE_STRUCT(One<bool>, (), (x))
BOOST_DESCRIBE_STRUCT(One<std::string>, (), (x))
BOOST_DESCRIBE_STRUCT(One<EventTime>, (), (x))
BOOST_DESCRIBE_STRUCT(One<std::optional<std::int64_t>>, (), (x))

constexpr std::string_view kGood =
    R"({"user_id": "u42", "action": "click", "value": 3.5, "timestamp": "2026-01-01T00:00:00.123Z"})";
constexpr std::int64_t kGoodMs = 1'767'225'600'123;

// Decodes {"x": text} and, where it is good, gives the member.
template <class M>
std::pair<JsonFault, M> x_of(std::string_view text) {
  JsonDecoder<One<M>> decoder;
  One<M> out;
  const Decoded decoded = decoder.decode("{\"x\":" + std::string(text) + "}", out);
  return {decoded.fault, out.x};
}
template <class M>
JsonFault fault_of(std::string_view text) {
  return x_of<M>(text).first;
}

// The fault of a whole record read as a UserEvent, whatever stands behind it.
JsonFault record_fault(std::string_view record) {
  JsonDecoder<UserEvent> decoder;
  UserEvent out;
  const JsonFault alone = decoder.decode(record, out).fault;
  for (const char garbage : {'\0', '}', ',', '"', '{'}) {
    std::string buffer(record);
    buffer.append(64, garbage);
    EXPECT_EQ(decoder.decode(std::string_view(buffer).substr(0, record.size()), out).fault, alone)
        << record.substr(0, 200) << " followed by " << garbage;
  }
  EXPECT_TRUE(decoder.decode(kGood, out)) << "after " << record.substr(0, 200);
  return alone;
}

TEST(JsonReader, ReadsTheRecordOfTheContract) {
  JsonDecoder<UserEvent> decoder;
  UserEvent event;
  ASSERT_TRUE(decoder.decode(kGood, event));
  EXPECT_EQ(event.user_id, "u42");
  EXPECT_EQ(event.action, "click");
  EXPECT_EQ(event.value, 3.5);
  EXPECT_EQ(event.timestamp.ms, kGoodMs);
}

TEST(JsonReader, ReadsEveryTypeInAnyOrder) {
  JsonDecoder<Every> decoder;
  Every e;
  ASSERT_TRUE(
      decoder.decode(" { \"ot\" : 5 , "
                     "\"os\":\"o\",\"od\":1,\"ou\":2,\"oi\":-3,\"ob\":false,\"t\":\"1970-01-01T00:"
                     "00:01Z\",\"s\":\"\",\"d\":-1e-3 ,"
                     "\"u\":18446744073709551615,\"i\":-9223372036854775808,\"b\":true}\r\n\t ",
                     e));
  EXPECT_TRUE(e.b);
  EXPECT_EQ(e.i, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(e.u, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(e.d, -0.001);
  EXPECT_EQ(e.s, "");
  EXPECT_EQ(e.t.ms, 1000);
  EXPECT_EQ(e.ob, false);
  EXPECT_EQ(e.oi, -3);
  EXPECT_EQ(e.ou, 2u);
  EXPECT_EQ(e.od, 1.0);
  EXPECT_EQ(e.os, "o");
  EXPECT_EQ(e.ot, EventTime{5});

  // The same struct again: what is absent or null must not linger.
  ASSERT_TRUE(decoder.decode(
      R"({"b":false,"i":1,"u":1,"d":1,"s":"x","t":0,"ob":null,"oi":null,"od":null})", e));
  EXPECT_FALSE(e.ob || e.oi || e.ou || e.od || e.os || e.ot);
}

TEST(JsonReader, ReadsUnderOtherNames) {
  JsonDecoder<UserEvent> decoder(
      JsonFields<UserEvent>{{"uid", &UserEvent::user_id}, {"tab\there", &UserEvent::action}});
  UserEvent event;
  event.value = 9;
  ASSERT_TRUE(decoder.decode(R"({"value": "not asked for", "tab\there": "a", "uid": "u"})", event));
  EXPECT_EQ(event.user_id, "u");
  EXPECT_EQ(event.action, "a");
  EXPECT_EQ(event.value, 9);
}

TEST(JsonReader, RefusesOneNameForTwoMembers) {
  const JsonFields<UserEvent> fields{{"a", &UserEvent::user_id}, {"a", &UserEvent::action}};
  EXPECT_THROW(JsonDecoder<UserEvent>{fields}, Error);
}

TEST(JsonReader, MatchesNamesWrittenWithEscapes) {
  EXPECT_EQ(
      record_fault(R"({"user\u005fid": "u", "action": "c", "\u0076alue": 1, "timestamp": 0})"),
      JsonFault::kNone);
  EXPECT_EQ(record_fault(R"({"user_id ": "u", "action": "c", "value": 1, "timestamp": 0})"),
            JsonFault::kMissingField);
  EXPECT_EQ(record_fault(
                R"({"user_i": "u", "user_idd": "u", "action": "c", "value": 1, "timestamp": 0})"),
            JsonFault::kMissingField);
  EXPECT_EQ(record_fault(
                R"({"bad\qname": 1, "user_id": "u", "action": "c", "value": 1, "timestamp": 0})"),
            JsonFault::kMalformed);
}

TEST(JsonReader, LastOfTwoFieldsCounts) {
  JsonDecoder<UserEvent> decoder;
  UserEvent event;
  ASSERT_TRUE(decoder.decode(
      R"({"user_id":"a","action":"c","value":1,"timestamp":0,"user_id":"b","value":2})", event));
  EXPECT_EQ(event.user_id, "b");
  EXPECT_EQ(event.value, 2);
  EXPECT_EQ(record_fault(R"({"user_id":1,"user_id":"b","action":"c","value":1,"timestamp":0})"),
            JsonFault::kMistyped);
}

TEST(JsonReader, IgnoresUnknownFieldsOfAnyShape) {
  EXPECT_EQ(
      record_fault(
          R"({"a":[1,[2,{"b":[]}],{}],"user_id":"u","c":{"d":{"e":"}]"}},"action":"c","f":null,"value":1,"g":1e999,
                            "timestamp":0,"h":"\ud83d\ude00","i":[],"j":{},"k":[true,false,-0.5E+7]})"),
      JsonFault::kNone);
}

TEST(JsonReader, JudgesUnknownFieldsAsStrictlyAsKnownOnes) {
  for (const char* bad : {"tru",         "01",         "1.",           "-",           ".5",
                          "1e",          "+1",         "NaN",          "Infinity",    "nul",
                          "'a'",         "\"\\x\"",    "\"\\u12g4\"",  "\"\\ud800\"", "[1 2]",
                          "[1,]",        "[,1]",       "{\"a\" 1}",    "{\"a\":}",    "{a:1}",
                          "{\"a\":1,}",  "{\"a\"}",    "[1}",          "{]",          "",
                          "[",           "{",          "1 2",          "[]]",         "{\"a\":1}}",
                          "{\"\\q\":1}", "\"a\"\"b\"", "[\"\\ud800\"]"}) {
    const std::string record =
        R"({"user_id":"u","action":"c","value":1,"timestamp":0,"extra":)" + std::string(bad) + "}";
    EXPECT_EQ(record_fault(record), JsonFault::kMalformed) << record;
  }
}

TEST(JsonReader, NamesWhatIsMissing) {
  JsonDecoder<UserEvent> decoder;
  UserEvent event;
  Decoded decoded = decoder.decode(R"({"user_id":"u","action":"c","timestamp":0})", event);
  EXPECT_EQ(decoded.fault, JsonFault::kMissingField);
  EXPECT_EQ(decoded.field, "value");
  EXPECT_EQ(decoded.text(), "missing field (field value)");
  EXPECT_EQ(decoder.decode("{}", event).fault, JsonFault::kMissingField);
  EXPECT_EQ(record_fault(R"({"user_id":null,"action":"c","value":1,"timestamp":0})"),
            JsonFault::kMistyped);
}

TEST(JsonReader, NamesFieldAndPlaceOfAWrongType) {
  JsonDecoder<UserEvent> decoder;
  UserEvent event;
  const Decoded decoded =
      decoder.decode(R"({"user_id":"u","action":"c","value": "3.5","timestamp":0})", event);
  EXPECT_EQ(decoded.fault, JsonFault::kMistyped);
  EXPECT_EQ(decoded.field, "value");
  EXPECT_EQ(decoded.position, 37u);
  EXPECT_EQ(decoded.text(), "mistyped: wanted a number (field value, byte 37)");
  EXPECT_EQ(name_of(decoded.fault), "mistyped");
}

TEST(JsonReader, RefusesWhatIsNoJson) {
  for (const char* bad : {"",
                          " ",
                          "{",
                          "}",
                          "{\"user_id\"",
                          "{\"user_id\":",
                          "{\"user_id\":\"u",
                          "{\"user_id\":\"u\"",
                          "{\"user_id\":\"u\",",
                          "{,}",
                          "{\"user_id\":\"u\",}",
                          "{\"user_id\" \"u\"}",
                          "{user_id:1}",
                          "{'user_id':'u'}",
                          "{}{}",
                          "{} x",
                          "{}}",
                          "nope",
                          "\xEF\xBB\xBF{}",
                          "{\"user_id\":\"a\nb\"}",
                          "{\"user_id\":\"u\"\"action\":\"a\"}",
                          "{\"user_id\":\"u\",,\"action\":\"a\"}",
                          "{\"user_id\"::\"u\"}",
                          "{\"user_id\":\"u\\\"}",
                          "{\"user_id\":\"\\u00\"}",
                          "{\"value\":tru}"}) {
    EXPECT_EQ(record_fault(bad), JsonFault::kMalformed) << bad;
  }
}

TEST(JsonReader, RefusesMoreThanOneValue) {
  EXPECT_EQ(record_fault(std::string(kGood) + "x"), JsonFault::kMalformed);
  EXPECT_EQ(record_fault(std::string(kGood) + std::string(kGood)), JsonFault::kMalformed);
  EXPECT_EQ(record_fault(std::string(kGood) + "}"), JsonFault::kMalformed);
  EXPECT_EQ(record_fault(std::string(kGood) + ",{}"), JsonFault::kMalformed);
  EXPECT_EQ(record_fault(std::string(kGood) + " \n"), JsonFault::kNone);
}

TEST(JsonReader, RefusesWhatIsNoObject) {
  for (const char* other : {"[]", "[1,2]", "\"text\"", "1", "-1.5", "true", "null", " [{}]"}) {
    EXPECT_EQ(record_fault(other), JsonFault::kNotObject) << other;
  }
}

TEST(JsonReader, RefusesEveryCutOfAGoodRecord) {
  for (std::size_t length = 0; length < kGood.size(); ++length) {
    EXPECT_EQ(record_fault(kGood.substr(0, length)), JsonFault::kMalformed)
        << kGood.substr(0, length);
  }
}

TEST(JsonReader, RefusesNulBytesAndControlCharacters) {
  std::string record(kGood);
  record[20] = '\0';
  EXPECT_EQ(record_fault(record), JsonFault::kMalformed);
  EXPECT_EQ(record_fault(std::string_view("\0", 1)), JsonFault::kMalformed);
  EXPECT_EQ(record_fault(std::string(kGood) + std::string(1, '\0')), JsonFault::kMalformed);
  EXPECT_EQ(record_fault(std::string(100, '\0')), JsonFault::kMalformed);
}

TEST(JsonReader, TakesAnEscapedNul) {
  const auto [fault, text] = x_of<std::string>(R"("a\u0000b")");
  EXPECT_EQ(fault, JsonFault::kNone);
  EXPECT_EQ(text, std::string("a\0b", 3));
}

TEST(JsonReader, RefusesWhatIsNoUtf8WhereverItStands) {
  for (const char* bad :
       {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe4\xb8", "\x80"}) {
    EXPECT_EQ(fault_of<std::string>("\"" + std::string(bad) + "\""), JsonFault::kNotUtf8);
    EXPECT_EQ(fault_of<std::string>("\"u\",\"other\":\"" + std::string(bad) + "\""),
              JsonFault::kNotUtf8);
  }
}

TEST(JsonReader, ReadsTextWithEscapes) {
  EXPECT_EQ(x_of<std::string>(R"("a\"\\\/\b\f\n\r\t\u00fc\ud83d\ude00z")").second,
            "a\"\\/\b\f\n\r\tü😀z");
  EXPECT_EQ(x_of<std::string>("\"東京\"").second, "東京");
  EXPECT_EQ(fault_of<std::string>(R"("\ud800")"), JsonFault::kMalformed);
  EXPECT_EQ(fault_of<std::string>(R"("\udc00")"), JsonFault::kMalformed);
  EXPECT_EQ(fault_of<std::string>(R"("\ud800\u0041")"), JsonFault::kMalformed);
  EXPECT_EQ(fault_of<std::string>("5"), JsonFault::kMistyped);
  EXPECT_EQ(fault_of<std::string>("[\"a\"]"), JsonFault::kMistyped);
  EXPECT_EQ(fault_of<std::string>("{\"a\":1}"), JsonFault::kMistyped);
}

TEST(JsonReader, ReadsWholeNumbers) {
  using I = std::int64_t;
  EXPECT_EQ(x_of<I>("9223372036854775807"),
            (std::pair{JsonFault::kNone, std::numeric_limits<I>::max()}));
  EXPECT_EQ(x_of<I>("-0"), (std::pair{JsonFault::kNone, I{0}}));
  EXPECT_EQ(x_of<I>("3.0"), (std::pair{JsonFault::kNone, I{3}}));
  EXPECT_EQ(x_of<I>("-1.5e2"), (std::pair{JsonFault::kNone, I{-150}}));
  EXPECT_EQ(x_of<I>("9007199254740991.0").first, JsonFault::kNone);
  EXPECT_EQ(fault_of<I>("9007199254740992.0"),
            JsonFault::kOutOfRange);  // its neighbours would read as the same
  EXPECT_EQ(fault_of<I>("9223372036854775808"), JsonFault::kOutOfRange);
  EXPECT_EQ(fault_of<I>("-9223372036854775809"), JsonFault::kOutOfRange);
  EXPECT_EQ(fault_of<I>("123456789012345678901234567890"), JsonFault::kOutOfRange);
  EXPECT_EQ(fault_of<I>("1e999"), JsonFault::kOutOfRange);
  EXPECT_EQ(fault_of<I>("1e-400"), JsonFault::kOutOfRange) << "nothing is what it reads as";
  EXPECT_EQ(fault_of<I>("3.5"), JsonFault::kMistyped);
  EXPECT_EQ(fault_of<I>("\"3\""), JsonFault::kMistyped);
  EXPECT_EQ(fault_of<I>("true"), JsonFault::kMistyped);
  EXPECT_EQ(fault_of<I>("null"), JsonFault::kMistyped);
  EXPECT_EQ(fault_of<I>("[1]"), JsonFault::kMistyped);
  for (const char* bad : {"01", "-01", "1.", "1e", "--1", "0x10", "1_000", "1a", "-", "1.0.0"}) {
    EXPECT_EQ(fault_of<I>(bad), JsonFault::kMalformed) << bad;
  }
  using U = std::uint64_t;
  EXPECT_EQ(x_of<U>("-0"), (std::pair{JsonFault::kNone, U{0}}));
  EXPECT_EQ(x_of<U>("7.0"), (std::pair{JsonFault::kNone, U{7}}));
  EXPECT_EQ(fault_of<U>("-1"), JsonFault::kOutOfRange);
  EXPECT_EQ(fault_of<U>("-1.0"), JsonFault::kOutOfRange);
  EXPECT_EQ(fault_of<U>("18446744073709551616"), JsonFault::kOutOfRange);
}

TEST(JsonReader, ReadsDoubles) {
  EXPECT_EQ(x_of<double>("5").second, 5.0);
  EXPECT_EQ(x_of<double>("1.7976931348623157e308").second, std::numeric_limits<double>::max());
  EXPECT_EQ(x_of<double>("5e-324").second, 5e-324);
  EXPECT_EQ(x_of<double>("1e-999"), (std::pair{JsonFault::kNone, 0.0}));
  EXPECT_EQ(x_of<double>("0." + std::string(400, '0') + "1"), (std::pair{JsonFault::kNone, 0.0}));
  EXPECT_EQ(x_of<double>("0." + std::string(400, '0') + "1e401").second, 1.0);
  EXPECT_EQ(fault_of<double>("1" + std::string(400, '0')), JsonFault::kOutOfRange);
  EXPECT_EQ(x_of<double>("123456789012345678901234567890").second,
            123456789012345678901234567890.0);
  EXPECT_TRUE(std::signbit(x_of<double>("-0.0").second));
  // Long fractions behind a leading zero: a plain simdjson 3.0.1 reads 1.79e-36 here.
  EXPECT_EQ(x_of<double>("0.1000000000000000055511151231257827021181583404541015625").second, 0.1);
  EXPECT_EQ(x_of<double>("-0.30000000000000000000001").second, -0.3);
  EXPECT_EQ(fault_of<double>("1e309"), JsonFault::kOutOfRange);
  EXPECT_EQ(fault_of<double>("-1e99999999999999999999"), JsonFault::kOutOfRange);
  EXPECT_EQ(x_of<double>("123e-99999999999999999999"), (std::pair{JsonFault::kNone, 0.0}));
  EXPECT_EQ(x_of<double>("1" + std::string(400, '0') + "e-900"),
            (std::pair{JsonFault::kNone, 0.0}));
  EXPECT_EQ(fault_of<double>("0." + std::string(400, '0') + "1e800"), JsonFault::kOutOfRange);
  EXPECT_EQ(fault_of<double>("0.00001e400"), JsonFault::kOutOfRange);
  EXPECT_EQ(fault_of<double>("\"1\""), JsonFault::kMistyped);
  EXPECT_EQ(fault_of<double>("NaN"), JsonFault::kMalformed);
  EXPECT_EQ(fault_of<double>("Infinity"), JsonFault::kMalformed);
  EXPECT_EQ(fault_of<double>(".5"), JsonFault::kMalformed);
  EXPECT_EQ(fault_of<double>("1.5garbage"), JsonFault::kMalformed);
}

TEST(JsonReader, ReadsBools) {
  EXPECT_EQ(x_of<bool>(" true "), (std::pair{JsonFault::kNone, true}));
  EXPECT_EQ(fault_of<bool>("1"), JsonFault::kMistyped);
  EXPECT_EQ(fault_of<bool>("\"true\""), JsonFault::kMistyped);
  EXPECT_EQ(fault_of<bool>("True"), JsonFault::kMalformed);
  EXPECT_EQ(fault_of<bool>("truefalse"), JsonFault::kMalformed);
  EXPECT_EQ(fault_of<bool>("tru"), JsonFault::kMalformed);
}

TEST(JsonReader, ReadsTimes) {
  EXPECT_EQ(x_of<EventTime>("1767225600123").second.ms, kGoodMs);
  EXPECT_EQ(x_of<EventTime>("1767225600123.0").second.ms, kGoodMs);
  EXPECT_EQ(x_of<EventTime>("-1").second.ms, -1);
  EXPECT_EQ(x_of<EventTime>("\"2026-01-01T01:00:00.123+01:00\"").second.ms, kGoodMs);
  EXPECT_EQ(x_of<EventTime>(R"("2026-01-01T00:00:00.123\u005a")").second.ms, kGoodMs);
  EXPECT_EQ(fault_of<EventTime>("\"2026-01-01T00:00:00.123\""), JsonFault::kBadTime);
  EXPECT_EQ(fault_of<EventTime>("\"\""), JsonFault::kBadTime);
  EXPECT_EQ(fault_of<EventTime>("\"1767225600123\""), JsonFault::kBadTime);
  EXPECT_EQ(fault_of<EventTime>("1767225600123.5"), JsonFault::kMistyped);
  EXPECT_EQ(fault_of<EventTime>("9223372036854775807"), JsonFault::kOutOfRange);
  EXPECT_EQ(fault_of<EventTime>("-9223372036854775808"), JsonFault::kOutOfRange);
  EXPECT_EQ(fault_of<EventTime>("1e300"), JsonFault::kOutOfRange);
  EXPECT_EQ(fault_of<EventTime>("null"), JsonFault::kMistyped);
}

TEST(JsonReader, OptionalMembersAreStillTyped) {
  using M = std::optional<std::int64_t>;
  EXPECT_EQ(x_of<M>("null"), (std::pair{JsonFault::kNone, M()}));
  EXPECT_EQ(x_of<M>("4"), (std::pair{JsonFault::kNone, M(4)}));
  EXPECT_EQ(fault_of<M>("\"4\""), JsonFault::kMistyped);
  EXPECT_EQ(fault_of<M>("nulll"), JsonFault::kMalformed);
}

TEST(JsonReader, RefusesDeepNesting) {
  const auto nested = [](std::size_t levels, const char* open, const char* close) {
    std::string text = "{\"deep\":";
    for (std::size_t i = 0; i < levels; ++i) text += open;
    text += "1";
    for (std::size_t i = 0; i < levels; ++i) text += close;
    return text + R"(,"user_id":"u","action":"c","value":1,"timestamp":0})";
  };
  EXPECT_EQ(record_fault(nested(255, "[", "]")), JsonFault::kNone);
  EXPECT_EQ(record_fault(nested(256, "[", "]")), JsonFault::kTooDeep);
  EXPECT_EQ(record_fault(nested(255, "{\"a\":", "}")), JsonFault::kNone);
  EXPECT_EQ(record_fault(nested(100'000, "{\"a\":", "}")), JsonFault::kTooDeep);
  EXPECT_EQ(record_fault(nested(1'000'000, "[", "]")), JsonFault::kTooDeep);
  EXPECT_EQ(record_fault(std::string(1'000'000, '[')), JsonFault::kNotObject);
  JsonDecoder<UserEvent> decoder;
  UserEvent out;
  EXPECT_FALSE(decoder.decode("{\"a\":" + std::string(1'000'000, '[') + "}", out));
}

TEST(JsonReader, RefusesVeryLongRecordsByLength) {
  const std::string huge = "{\"x\":\"" + std::string(100'000'000, 'a') + "\"}";
  JsonDecoder<One<std::string>> decoder;
  One<std::string> out;
  const Decoded decoded = decoder.decode(huge, out);
  EXPECT_EQ(decoded.fault, JsonFault::kTooLarge);
  EXPECT_EQ(decoded.position, JsonLimits{}.max_bytes);
  ASSERT_TRUE(decoder.decode(R"({"x":"small"})", out));
}

TEST(JsonReader, ReadsUpToTheLimitAndGoesOnAfterwards) {
  const std::string large = "{\"x\":\"" + std::string(3'000'000, 'a') + "\"}";
  JsonDecoder<One<std::string>> decoder(JsonLimits{.max_bytes = large.size()});
  One<std::string> out;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(decoder.decode(large, out));
    EXPECT_EQ(out.x.size(), 3'000'000u);
    ASSERT_TRUE(decoder.decode(R"({"x":"small"})", out));
    EXPECT_EQ(out.x, "small");
  }
  EXPECT_EQ(decoder.decode(large + " ", out).fault, JsonFault::kTooLarge);
}

TEST(JsonReader, ReadsRecordsOfManyShapesInTurn) {
  // More names than are remembered, in another order each time.
  JsonDecoder<UserEvent> decoder;
  for (int i = 0; i < 500; ++i) {
    UserEvent event;
    const std::string other = "\"other" + std::to_string(i) + "\":1,";
    const std::string user = "\"user_id\":\"u" + std::to_string(i) + "\",";
    const std::string rest = R"("action":"c","value":1,"timestamp":0})";
    ASSERT_TRUE(decoder.decode("{" + (i % 2 == 0 ? other + user : user + other) + rest, event));
    EXPECT_EQ(event.user_id, "u" + std::to_string(i));
  }
}

TEST(JsonReader, ReadsLongFieldNames) {
  const std::string name(500, 'n');
  JsonDecoder<One<bool>> decoder(JsonFields<One<bool>>{{name, &One<bool>::x}});
  One<bool> out;
  ASSERT_TRUE(decoder.decode("{\"" + name + "\":true}", out));
  EXPECT_TRUE(out.x);
  EXPECT_EQ(decoder.decode("{\"" + name + "n\":true}", out).fault, JsonFault::kMissingField);
}

}  // namespace
}  // namespace tidemill
