// What JsonDecoder must hold for any input: what JsonEncoder wrote reads back equal, and what is
// JSON is judged as an independent parser (Boost.JSON) judges it.
#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <optional>
#include <rapidcheck.h>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/json/src.hpp>

#include "connectors/formats/json_reader.h"
#include "connectors/formats/json_writer.h"
#include "engine/base/time.h"

namespace tidemill {
namespace {

struct Wide {
  bool b = false;
  std::int64_t i = 0;
  std::uint64_t u = 0;
  double d = 0;
  std::string s;
  EventTime t{};
  std::optional<bool> ob;
  std::optional<std::int64_t> oi;
  std::optional<double> od;
  std::optional<std::string> os;
  std::optional<EventTime> ot;

  friend bool operator==(const Wide&, const Wide&) = default;
};
BOOST_DESCRIBE_STRUCT(Wide, (), (b, i, u, d, s, t, ob, oi, od, os, ot))

struct Nothing {};
BOOST_DESCRIBE_STRUCT(Nothing, (), ())

rc::Gen<std::string> ascii_text() {
  return rc::gen::container<std::string>(rc::gen::inRange<char>(0, 127));
}
rc::Gen<EventTime> any_time() {
  return rc::gen::map(
      rc::gen::inRange<std::int64_t>(-90'000'000'000'000'000, 90'000'000'000'000'000),
      [](std::int64_t ms) { return EventTime{ms}; });
}
rc::Gen<double> any_double() {
  return rc::gen::map(rc::gen::arbitrary<double>(),
                      [](double d) { return std::isfinite(d) ? d : 0.0; });
}

// JSON that is right, or nearly so: valid text with some characters replaced, dropped or doubled.
std::string nearly_json() {
  static const std::string kPieces[] = {"{",    "}",     "[",        "]",          ",",
                                        ":",    "\"a\"", "\"b\\n\"", "1",          "-2.5e3",
                                        "true", "null",  " ",        "\"\\u00fc\""};
  const auto make = [](auto& self, int depth) -> std::string {
    switch (*rc::gen::inRange(0, depth > 4 ? 5 : 7)) {
      case 0: return "17";
      case 1: return "\"te\\\"xt\"";
      case 2: return "false";
      case 3: return "-0.5E-2";
      case 4: return "null";
      case 5: {
        std::string list = "[";
        for (int n = *rc::gen::inRange(0, 4); n > 0; --n)
          list += self(self, depth + 1) + (n > 1 ? "," : "");
        return list + "]";
      }
      default: {
        std::string object = "{";
        for (int n = *rc::gen::inRange(0, 4); n > 0; --n)
          object += "\"k" + std::to_string(n) + "\":" + self(self, depth + 1) + (n > 1 ? ", " : "");
        return object + "}";
      }
    }
  };
  std::string text = "{\"first\":" + make(make, 0) + ",\"second\":" + make(make, 0) + "}";
  for (int n = *rc::gen::inRange(0, 3); n > 0; --n) {
    const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
    const std::string& piece = kPieces[*rc::gen::inRange<std::size_t>(0, std::size(kPieces))];
    text.replace(at, *rc::gen::inRange<std::size_t>(0, 2), piece);
  }
  return text;
}

TEST(JsonProperty, WhatWasWrittenReadsBackEqual) {
  const JsonEncoder<Wide> encoder;
  JsonDecoder<Wide> decoder;
  Wide back;
  EXPECT_TRUE(rc::check([&] {
    const Wide row{.b = *rc::gen::arbitrary<bool>(),
                   .i = *rc::gen::arbitrary<std::int64_t>(),
                   .u = *rc::gen::arbitrary<std::uint64_t>(),
                   .d = *any_double(),
                   .s = *ascii_text(),
                   .t = *any_time(),
                   .ob = *rc::gen::arbitrary<bool>() ? std::optional(true) : std::nullopt,
                   .oi = *rc::gen::arbitrary<bool>()
                             ? std::optional(*rc::gen::arbitrary<std::int64_t>())
                             : std::nullopt,
                   .od = *rc::gen::arbitrary<bool>() ? std::optional(*any_double()) : std::nullopt,
                   .os = *rc::gen::arbitrary<bool>() ? std::optional(*ascii_text()) : std::nullopt,
                   .ot = *rc::gen::arbitrary<bool>() ? std::optional(*any_time()) : std::nullopt};
    std::string text;
    encoder.encode(row, text);
    const Decoded decoded = decoder.decode(text, back);
    RC_ASSERT(decoded.text() == "none");
    RC_ASSERT(back == row);
  }));
}

// Records of the short way (json_plain.h), some of them spoilt. A blank in front makes them ones of
// the long way, and changes nothing else.
struct Plain {
  std::string user;
  double value = 0;
  EventTime at{};
  std::int64_t whole = 0;
  std::uint64_t natural = 0;
  bool flag = false;

  friend bool operator==(const Plain&, const Plain&) = default;
};
BOOST_DESCRIBE_STRUCT(Plain, (), (user, value, at, whole, natural, flag))

TEST(JsonProperty, TheShortWayReadsWhatTheLongWayReads) {
  const std::vector<std::string> texts{
      "\"u1\"",       "\"\"",     "\"a\\\"b\"", "\"a\xc3\xa4 long enough\"",
      "\"bad \xc3\"", "\"a\tb\"", "12",         "\"\\\\\""};
  const std::vector<std::string> numbers{"0",
                                         "-0",
                                         "-0.0",
                                         "1.5",
                                         "150.31",
                                         "-12.25",
                                         "00",
                                         "01.5",
                                         "1e3",
                                         "1.",
                                         ".5",
                                         "-",
                                         "123456789012345",
                                         "1234567890123456",
                                         "0.123456789012345",
                                         "999999999999.999",
                                         "3.0",
                                         "null",
                                         "0.1",
                                         "2.675",
                                         "1.005",
                                         "179769313486231570000000000000"};
  const std::vector<std::string> times{"\"2026-01-01T00:00:00Z\"",
                                       "1767225600000",
                                       "\"soon\"",
                                       "-5",
                                       "\"2026-13-01T00:00:00Z\"",
                                       "1.5"};
  const std::vector<std::string> flags{"true", "false", "tru", "truefalse", "1"};
  const std::vector<std::string> ends{"}", "}", "}", "} ", "}}", "", ",", "]", ",\"more\":1}"};
  const auto one_of = [](const std::vector<std::string>& all) {
    return all[*rc::gen::inRange<std::size_t>(0, all.size())];
  };
  JsonDecoder<Plain> decoder;
  int good = 0;
  EXPECT_TRUE(rc::check([&] {
    // Most values are the first of their kind, so that many records are good.
    const auto any = [&](const std::vector<std::string>& all) {
      return *rc::gen::inRange(0, 4) == 0 ? one_of(all) : all[0];
    };
    std::string text = "{\"user\":" + any(texts) + ",\"value\":" + one_of(numbers) +
                       ",\"at\":" + any(times) + ",\"whole\":" + any(numbers) +
                       ",\"natural\":" + any(numbers) + ",\"flag\":" + any(flags) + any(ends);
    if (*rc::gen::inRange(0, 4) == 0) {
      const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
      text.replace(at, *rc::gen::inRange<std::size_t>(0, 3),
                   *rc::gen::inRange(0, 2) == 0 ? "" : " ");
    }
    Plain fast;
    Plain slow;
    const Decoded short_way = decoder.decode(text, fast);
    const Decoded long_way = decoder.decode(" " + text, slow);
    RC_ASSERT(short_way.fault == long_way.fault);
    if (!short_way) return;
    ++good;
    RC_ASSERT(fast == slow);
    RC_ASSERT(std::signbit(fast.value) == std::signbit(slow.value));
  }));
  EXPECT_GT(good, 10);
}

TEST(JsonProperty, GoodAndBadAreWhatAnotherParserSays) {
  JsonDecoder<Nothing> decoder;
  Nothing out;
  int good = 0;
  int bad = 0;
  EXPECT_TRUE(rc::check([&] {
    const std::string text = nearly_json();
    boost::json::error_code error;
    const boost::json::value parsed = boost::json::parse(text, error);
    const bool is_object = !error && parsed.is_object();
    ++(is_object ? good : bad);
    RC_ASSERT(static_cast<bool>(decoder.decode(text, out)) == is_object);
  }));
  EXPECT_GT(good, 10);
  EXPECT_GT(bad, 10);
}

}  // namespace
}  // namespace tidemill
