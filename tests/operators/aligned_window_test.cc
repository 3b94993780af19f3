// Tumbling and sliding windows, by example; tests/operators/window_oracle_test.cc compares them
// with their definition at random.
#include "operators/aligned_window.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "operators/aggregates.h"
#include "operators/combined.h"
#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::OperatorHarness;
using ::testing::UnorderedElementsAre;

struct Event {
  std::string key;
  std::int64_t value = 1;
};

using Total = Of<&Event::value, Sum<std::int64_t>>;
using KeyOf = std::string Event::*;
using Window_ = AlignedWindow<Event, Total, KeyOf>;

OperatorHarness::Make windows(const Sliding& sliding, const WindowOptions& options = {}) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<Window_>(ctx, AlignedWindows(sliding), options, &Event::key);
  };
}
OperatorHarness::Make tumbling(Duration size, const WindowOptions& options = {},
                               Duration offset = 0ms) {
  return windows({size, size, offset}, options);
}

EventTime at(double seconds) { return {static_cast<std::int64_t>(seconds * 1000)}; }
Record<Event> event(std::string key, double seconds, std::int64_t value = 1) {
  return {{std::move(key), value}, at(seconds)};
}

std::vector<std::string> rows(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const auto& row : h.drain<Windowed<std::string, std::int64_t>>()) {
    EXPECT_EQ(row.time, row.value.window.last());
    all.push_back(row.value.key + "[" + std::to_string(row.value.window.start.ms) + "," +
                  std::to_string(row.value.window.end.ms) + ")=" + std::to_string(row.value.value));
  }
  return all;
}
std::vector<std::string> late(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const auto& row : h.drain<Event>(1))
    all.push_back(row.value.key + "@" + std::to_string(row.time.ms));
  return all;
}

TEST(AlignedWindowTest, FiresOnceAtItsEnd) {
  OperatorHarness::run(tumbling(10s), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1), event("a", 9.999), event("b", 10)});
    h.watermark(at(9.999));
    EXPECT_THAT(rows(h), IsEmpty());
    h.watermark(at(10));
    EXPECT_THAT(rows(h), ElementsAre("a[0,10000)=2"));
    EXPECT_EQ(h.forwarded(), at(10));
    h.watermark(at(19));
    EXPECT_THAT(rows(h), IsEmpty());
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("b[10000,20000)=1"));
  });
}

TEST(AlignedWindowTest, LateWithinAllowanceFiresAgainOncePerBatch) {
  OperatorHarness::run(tumbling(10s, {.allowed_lateness = 10s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1, 1)});
    h.watermark(at(12));
    EXPECT_THAT(rows(h), ElementsAre("a[0,10000)=1"));
    h.push({event("a", 2, 2), event("a", 3, 4), event("b", 9, 8)});
    EXPECT_THAT(rows(h), UnorderedElementsAre("a[0,10000)=7", "b[0,10000)=8"));
    h.watermark(at(20));
    h.push({event("a", 9, 1), event("a", 10, 1)});
    EXPECT_THAT(late(h), ElementsAre("a@9000"));
    EXPECT_THAT(rows(h), ElementsAre("a[10000,20000)=1"));
    EXPECT_EQ(h.count("tidemill_late_records_total"), 1U);
    h.end();
    EXPECT_THAT(rows(h), IsEmpty());
  });
}

TEST(AlignedWindowTest, SlidingLateForOneWindowOnly) {
  OperatorHarness::run(windows({10s, 5s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 7)});
    h.watermark(at(10));
    EXPECT_THAT(rows(h), ElementsAre("a[0,10000)=1"));
    h.push({event("a", 8)});
    EXPECT_THAT(rows(h), IsEmpty());
    h.watermark(at(15));
    EXPECT_THAT(rows(h), ElementsAre("a[5000,15000)=2"));
    h.push({event("a", 9)});
    EXPECT_THAT(late(h), ElementsAre("a@9000"));
  });
}

TEST(AlignedWindowTest, OffsetAndNegativeTimes) {
  OperatorHarness::run(tumbling(10s, {}, 2s), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", -9, 4), event("a", 1.999, 5), event("a", 2, 6)});
    h.watermark(at(2));
    EXPECT_THAT(rows(h), UnorderedElementsAre("a[-18000,-8000)=4", "a[-8000,2000)=5"));
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("a[2000,12000)=6"));
  });
}

TEST(AlignedWindowTest, RecordsBetweenWindowsAreCountedApart) {
  OperatorHarness::run(windows({2s, 10s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1), event("a", 5), event("a", 11)});
    h.end();
    EXPECT_THAT(rows(h), UnorderedElementsAre("a[0,2000)=1", "a[10000,12000)=1"));
    EXPECT_EQ(h.count("tidemill_records_in_no_window_total"), 1U);
    EXPECT_THAT(late(h), IsEmpty());
  });
}

TEST(AlignedWindowTest, SizeNeedNotBeAMultipleOfSlide) {
  OperatorHarness::run(windows({5s, 3s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 4)});
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("a[0,5000)=1", "a[3000,8000)=1"));
  });
}

TEST(AlignedWindowTest, OnUpdateGivesARowPerTouchedWindowAndNoneAtClose) {
  OperatorHarness::run(tumbling(10s, {.on_update = true}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1), event("a", 2), event("b", 11)});
    EXPECT_THAT(rows(h), UnorderedElementsAre("a[0,10000)=2", "b[10000,20000)=1"));
    h.push({event("a", 3, 0)});
    EXPECT_THAT(rows(h), ElementsAre("a[0,10000)=2"));
    h.end();
    EXPECT_THAT(rows(h), IsEmpty());
  });
}

TEST(AlignedWindowTest, EarlyRowsOfWhatChanged) {
  OperatorHarness::run(tumbling(10s, {.early = 3s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1), event("b", 1)});
    h.watermark(at(2.999));
    EXPECT_THAT(rows(h), IsEmpty());
    h.watermark(at(3));
    EXPECT_THAT(rows(h), UnorderedElementsAre("a[0,10000)=1", "b[0,10000)=1"));
    h.push({event("a", 4)});
    h.watermark(at(5));
    EXPECT_THAT(rows(h), IsEmpty());
    h.watermark(at(9.5));
    EXPECT_THAT(rows(h), ElementsAre("a[0,10000)=2"));
    h.watermark(at(10));
    EXPECT_THAT(rows(h), UnorderedElementsAre("a[0,10000)=2", "b[0,10000)=1"));
  });
}

TEST(AlignedWindowTest, ChangesOnlyLeavesOutEqualRows) {
  OperatorHarness::run(tumbling(10s, {.allowed_lateness = 1h, .early = 5s, .changes_only = true}),
                       [](OperatorHarness& h) {
                         SCOPED_TRACE(h.mode());
                         h.push({event("a", 1), event("b", 1)});
                         h.watermark(at(5));
                         EXPECT_THAT(rows(h), UnorderedElementsAre("a[0,10000)=1", "b[0,10000)=1"));
                         h.push({event("a", 6), event("b", 6, 0)});
                         h.watermark(at(10));
                         EXPECT_THAT(rows(h), ElementsAre("a[0,10000)=2"));
                         h.push({event("a", 2, 0)});
                         EXPECT_THAT(rows(h), IsEmpty());
                       });
}

TEST(AlignedWindowTest, EarlyByProcessingTime) {
  OperatorHarness::run(windows({10s, 5s}, {.early_processing = 5s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 7)});
    h.advance(4s);
    EXPECT_THAT(rows(h), IsEmpty());
    h.advance(1s);
    EXPECT_THAT(rows(h), UnorderedElementsAre("a[0,10000)=1", "a[5000,15000)=1"));
    h.advance(5s);
    EXPECT_THAT(rows(h), IsEmpty());
    h.watermark(at(10));
    EXPECT_THAT(rows(h), ElementsAre("a[0,10000)=1"));
  });
}

TEST(AlignedWindowTest, ABatchDuringAFiringDoesNotShowInIt) {
  OperatorHarness::run(tumbling(10s, {.allowed_lateness = 10s, .firing_budget = 1}),
                       [](OperatorHarness& h) {
                         SCOPED_TRACE(h.mode());
                         Batch<Event> first;
                         Batch<Event> second;
                         for (int i = 0; i < 50; ++i) {
                           first.append({std::to_string(i), 1}, at(1));
                           second.append({std::to_string(i), 2}, at(2));
                         }
                         h.push(std::move(first));
                         h.begin_watermark(at(12));
                         h.push(std::move(second));
                         h.finish_watermark();
                         std::vector<std::int64_t> values;
                         for (const auto& row : h.drain<Windowed<std::string, std::int64_t>>())
                           values.push_back(row.value.value);
                         EXPECT_EQ(std::count(values.begin(), values.end(), 1), 50);
                         EXPECT_EQ(std::count(values.begin(), values.end(), 3), 50);
                         EXPECT_EQ(values.size(), 100U);
                       });
}

TEST(AlignedWindowTest, OptionsThatRememberRowsMayBeGivenAndTakenAway) {
  WindowOptions options{.early = 3s, .changes_only = true};
  OperatorHarness h([&](OperatorContext& ctx) { return tumbling(10s, options)(ctx); },
                    {.backend = "rocksdb"});
  h.push({event("a", 1)});
  h.watermark(at(4));
  EXPECT_THAT(rows(h), ElementsAre("a[0,10000)=1"));
  h.push({event("b", 5)});
  options = {};
  h.restart();
  EXPECT_THAT(h.unused_states(), IsEmpty()) << "no --drop-state for what is not lost";
  h.watermark(at(10));
  EXPECT_THAT(rows(h), UnorderedElementsAre("a[0,10000)=1", "b[0,10000)=1"));
  options = {.early = 3s};
  h.restart();
  EXPECT_THAT(h.unused_states(), IsEmpty());
  h.push({event("a", 11)});
  h.watermark(at(13));
  EXPECT_THAT(rows(h), ElementsAre("a[10000,20000)=1"));
}

TEST(AlignedWindowTest, RefusesImpossibleWindows) {
  EXPECT_THROW(AlignedWindows(Tumbling{0s}), Error);
  EXPECT_THROW(AlignedWindows(Sliding{10s, -1s}), Error);
  EXPECT_THROW(OperatorHarness(tumbling(10s, {.allowed_lateness = -1s}), {}), Error);
  EXPECT_THROW(OperatorHarness(tumbling(10s, {.early = 0s}), {}), Error);
}

}  // namespace
}  // namespace tidemill
