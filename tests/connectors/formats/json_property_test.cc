// What JsonDecoder must hold for any input: what JsonEncoder wrote reads back equal, and what is
// JSON is judged as an independent parser (Boost.JSON) judges it.
#include <charconv>
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

struct Number {
  double d = 0;
};
BOOST_DESCRIBE_STRUCT(Number, (), (d))

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

TEST(JsonProperty, FractionsReadAsTheNearestDouble) {
  JsonDecoder<Number> decoder;
  EXPECT_TRUE(rc::check([&] {
    const int whole = *rc::gen::elementOf(std::vector<int>{9, 999, 99'999, 99'999'999});
    std::string text = std::to_string(*rc::gen::inRange(-whole, whole));
    if (*rc::gen::arbitrary<bool>()) {
      text += '.';
      for (int n = *rc::gen::inRange(1, 12); n > 0; --n) text += *rc::gen::inRange('0', ':');
    }
    double nearest = 0;
    std::from_chars(text.data(), text.data() + text.size(), nearest);
    Number read;
    RC_ASSERT(static_cast<bool>(decoder.decode("{\"d\":" + text + "}", read)));
    RC_ASSERT(read.d == nearest);
  }));
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
