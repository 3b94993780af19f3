#include "connectors/formats/iso_time.h"

#include <chrono>
#include <gtest/gtest.h>
#include <limits>
#include <optional>
#include <rapidcheck.h>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"

namespace tidemill {
namespace {

constexpr std::int64_t kNewYear2026 = 1'767'225'600'000;

std::string written(EventTime time) {
  std::string text;
  append_iso_time(text, time);
  return text;
}

std::optional<std::int64_t> read(std::string_view text) {
  const std::optional<EventTime> time = parse_iso_time(text);
  return time ? std::optional(time->ms) : std::nullopt;
}

TEST(IsoTime, ReadsTheFormOfTheContract) {
  EXPECT_EQ(read("2026-01-01T00:00:00.123Z"), kNewYear2026 + 123);
  EXPECT_EQ(read("2026-01-01T00:00:00Z"), kNewYear2026);
  EXPECT_EQ(read("1970-01-01T00:00:00.000Z"), 0);
  EXPECT_EQ(read("1969-12-31T23:59:59.999Z"), -1);
  EXPECT_EQ(read("2024-02-29T12:34:56.789Z"), 1'709'210'096'789);
  EXPECT_EQ(read("0000-01-01T00:00:00Z"), -62'167'219'200'000);
  EXPECT_EQ(read("9999-12-31T23:59:59.999Z"), 253'402'300'799'999);
}

TEST(IsoTime, ReadsTheOtherForms) {
  for (const char* same :
       {"2026-01-01T00:00Z", "2026-01-01t00:00:00z", "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00.0Z", "2026-01-01T00:00:00,0009999Z", "2026-01-01T01:00:00+01:00",
        "2026-01-01T05:30:00+0530", "2025-12-31T19:00:00-05", "2025-12-31T23:59:00.000-00:01",
        "+002026-01-01T00:00:00.000Z", "+2026-01-01T00:00:00-00:00"}) {
    EXPECT_EQ(read(same), kNewYear2026) << same;
  }
  EXPECT_EQ(read("2026-01-01T00:00:00.5Z"), kNewYear2026 + 500);
  EXPECT_EQ(read("2026-01-01T00:00:00.123456789Z"), kNewYear2026 + 123);
  EXPECT_EQ(read("-0001-01-01T00:00:00Z"), -62'198'755'200'000);
}

TEST(IsoTime, CutsDigitsTowardsThePastBefore1970Too) {
  EXPECT_EQ(read("1969-12-31T23:59:59.0019Z"), -999);
}

TEST(IsoTime, RefusesWhatIsNoInstant) {
  for (const char* bad : {"",
                          "Z",
                          "2026",
                          "2026-01-01",
                          "2026-01-01T00:00:00",
                          "2026-01-01T00:00:00.123",
                          "2026-01-01T00Z",
                          "2026-1-1T00:00:00Z",
                          "26-01-01T00:00:00Z",
                          "2026-01-01T00:00:00.Z",
                          "2026-01-01T00:00:60Z",
                          "2026-01-01T24:00:00Z",
                          "2026-01-01T00:60:00Z",
                          "2026-13-01T00:00:00Z",
                          "2026-00-01T00:00:00Z",
                          "2026-02-29T00:00:00Z",
                          "2026-04-31T00:00:00Z",
                          "2026-01-00T00:00:00Z",
                          "2026-01-01T00:00:00+24:00",
                          "2026-01-01T00:00:00+01:60",
                          "2026-01-01T00:00:00+1",
                          "2026-01-01T00:00:00+01:",
                          "2026-01-01T00:00:00ZZ",
                          "2026-01-01T00:00:00Z ",
                          " 2026-01-01T00:00:00Z",
                          "2026-01-01T00:00:00 Z",
                          "2026/01/01T00:00:00Z",
                          "2026-01-01T00-00:00Z",
                          "2026-01-01T-1:00:00Z",
                          "２026-01-01T00:00:00Z",
                          "+026-01-01T00:00:00Z",
                          "+1234567890-01-01T00:00:00Z",
                          "+999999999-01-01T00:00:00Z",
                          "2026-01-01T00:00:00.12:Z",
                          "1767225600000",
                          "now"}) {
    EXPECT_EQ(read(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(read(std::string_view("2026-01-01T00:00:00\0Z", 21)), std::nullopt);
}

TEST(IsoTime, WritesAlwaysMillisecondsAndUtc) {
  EXPECT_EQ(written({kNewYear2026}), "2026-01-01T00:00:00.000Z");
  EXPECT_EQ(written({kNewYear2026 + 86'399'999}), "2026-01-01T23:59:59.999Z");
  EXPECT_EQ(written({-1}), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(written({-62'167'219'200'000}), "0000-01-01T00:00:00.000Z");
  EXPECT_EQ(written({253'402'300'799'999}), "9999-12-31T23:59:59.999Z");
}

// The strings of java.time.Instant.ofEpochMilli(x).toString() for the same numbers (Java prints no
// fraction where it is zero).
TEST(IsoTime, WritesYearsBeyondFourDigitsWithASign) {
  EXPECT_EQ(written({253'402'300'800'000}), "+10000-01-01T00:00:00.000Z");
  EXPECT_EQ(written({-62'167'219'200'001}), "-0001-12-31T23:59:59.999Z");
  EXPECT_EQ(written(EventTime::max()), "+292278994-08-17T07:12:55.807Z");
  EXPECT_EQ(written(EventTime::min()), "-292275055-05-16T16:47:04.192Z");
  EXPECT_LE(written(EventTime::min()).size(), kMaxIsoTimeSize);
}

TEST(IsoTime, InfinitiesAreNotReadBack) {
  EXPECT_EQ(read(written(EventTime::max())), std::nullopt);
  EXPECT_EQ(read(written(EventTime::min())), std::nullopt);
}

TEST(IsoTimeProperty, EveryFiniteTimeReadsBackEqual) {
  constexpr std::int64_t kDay = 86'400'000;
  constexpr std::int64_t kLimit = std::numeric_limits<std::int64_t>::max() / kDay * kDay - kDay;
  EXPECT_TRUE(rc::check([] {
    const std::int64_t near =
        *rc::gen::inRange<std::int64_t>(-70'000'000'000'000, 260'000'000'000'000);
    RC_ASSERT(read(written({near})) == near);
    const std::int64_t far = *rc::gen::inRange<std::int64_t>(-kLimit, kLimit);
    RC_ASSERT(read(written({far})) == far);
  }));
}

TEST(IsoTimeProperty, AgreesWithStdChronoOnEveryDayOfFourHundredYears) {
  const std::chrono::sys_days first = std::chrono::year{1800} / 1 / 1;
  for (std::chrono::sys_days day = first; day < first + std::chrono::days(146'097);
       day += std::chrono::days(1)) {
    const std::chrono::year_month_day date(day);
    char text[32];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT00:00:00.000Z", int{date.year()},
                  unsigned{date.month()}, unsigned{date.day()});
    const std::int64_t ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(day.time_since_epoch()).count();
    ASSERT_EQ(written({ms}), text);
    ASSERT_EQ(read(text), ms);
  }
}

TEST(IsoTimeProperty, ShortcutAndGeneralFormAgree) {
  // Any text of the common length: the same with `+00:00` for `Z` takes the general way.
  EXPECT_TRUE(rc::check([] {
    std::string text =
        written({*rc::gen::inRange<std::int64_t>(-60'000'000'000'000, 250'000'000'000'000)});
    const auto at = *rc::gen::inRange<std::size_t>(0, 23);
    text[at] = *rc::gen::elementOf(std::string("0123456789-:.T Z/+"));
    const std::string general = text.substr(0, 23) + "+00:00";
    RC_ASSERT(read(text) == read(general));
  }));
}

}  // namespace
}  // namespace tidemill
