// What is kept of late records to be looked at, and how it reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>

#include "app/metrics_text.h"
#include "operators/aggregates.h"
#include "operators/aligned_window.h"
#include "operators/combined.h"
#include "operators/interval_join.h"
#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::HasSubstr;
using testing::OperatorHarness;

struct Event {
  std::string key;
  std::int64_t value = 1;
};
BOOST_DESCRIBE_STRUCT(Event, (), (key, value))
using Windows = AlignedWindow<Event, Of<&Event::value, Sum<std::int64_t>>, std::string Event::*>;

OperatorHarness::Make tumbling() {
  return [](OperatorContext& ctx) {
    return std::make_unique<Windows>(ctx, AlignedWindows(Tumbling{10s}), WindowOptions{},
                                     &Event::key);
  };
}

std::size_t number_of(const std::string& word, const std::string& text) {
  std::size_t number = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++number;
  return number;
}

TEST(LateRecords, SayWhoWasLateAndByHowMuch) {
  OperatorHarness::run(tumbling(), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    EXPECT_EQ(late_records_json(h.metrics()), "[]\n");
    h.watermark(EventTime{20000});
    h.push<Event>({{{"on \"time\""}, EventTime{20000}}, {{"a \"b\""}, EventTime{9000}}});
    const std::string json = late_records_json(h.metrics());
    EXPECT_THAT(json, HasSubstr(R"("reason":"late")"));
    EXPECT_THAT(json, HasSubstr(R"("time":"1970-01-01T00:00:09.000Z",)"
                                R"("watermark":"1970-01-01T00:00:20.000Z",)"
                                R"("behind_ms":11000,"key":"a \"b\""})"));
    EXPECT_EQ(number_of("behind_ms", json), 1);
  });
}

TEST(LateRecords, KeepTheLatestAndFewOfAFlood) {
  OperatorHarness::run(tumbling(), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.watermark(EventTime{20000});
    const auto flood = [&](const std::string& of) {
      Batch<Event> batch;
      for (int i = 0; i < 100; ++i) batch.append({of + std::to_string(i)}, EventTime{0});
      h.push(std::move(batch));
    };
    flood("a");
    const std::string first = late_records_json(h.metrics());
    EXPECT_EQ(number_of("behind_ms", first), LateSample::kMost);
    EXPECT_THAT(first, HasSubstr("\"a0\""));
    h.advance(1s);
    flood("b");
    const std::string second = late_records_json(h.metrics());
    EXPECT_EQ(number_of("behind_ms", second), LateSample::kMost);
    EXPECT_EQ(number_of("\"b", second), 1 + number_of("\"behind", second))
        << "one at that instant of the clock";
    EXPECT_EQ(number_of("\"a0\"", second), 0) << "the oldest has left";
    EXPECT_EQ(h.count("tidemill_late_records_total"), 200) << "all of them are counted";
  });
}

TEST(LateRecords, OfJoinsNameTheSide) {
  OperatorHarness::run(
      [](OperatorContext& ctx) {
        return std::make_unique<
            IntervalJoin<Event, Event, std::string Event::*, std::string Event::*>>(
            ctx, IntervalJoinOptions{.lower = 0s, .upper = 5s}, &Event::key, &Event::key);
      },
      [](OperatorHarness& h) {
        SCOPED_TRACE(h.mode());
        h.watermark(EventTime{20000});
        h.push<Event>({{{"l"}, EventTime{1000}}}, 0);
        h.push<Event>({{{"r"}, EventTime{2000}}}, 1);
        const std::string json = late_records_json(h.metrics());
        EXPECT_THAT(json, HasSubstr(R"("side":"left")"));
        EXPECT_THAT(json, HasSubstr(R"("side":"right")"));
        EXPECT_THAT(json, HasSubstr(R"("behind_ms":18000,"key":"r")"));
      });
}

}  // namespace
}  // namespace tidemill
