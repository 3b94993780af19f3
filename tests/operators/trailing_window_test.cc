// Trailing windows with decay, by example; tests/operators/trailing_oracle_test.cc compares them
// with their definition at random.
#include "operators/trailing_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operators/aggregates.h"
#include "operators/collections.h"
#include "operators/combined.h"
#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::OperatorHarness;
using ::testing::UnorderedElementsAre;

struct Event {
  std::string user;
  std::string action = "view";
  double value = 1;
  TieOrder origin{};
};

// The main job's features, as a job would write them.
struct FeatureResult {
  std::int64_t event_count = 0;
  std::int64_t unique_actions = 0;
  std::optional<double> avg_value;
  std::optional<std::string> last_action;
  std::optional<EventTime> event_time;
  friend bool operator==(const FeatureResult&, const FeatureResult&) = default;
};

struct Features {
  Mean<double> value;
  Distinct<std::string> actions;
  Last<std::string> last;

  void add(const Event& e, const Stamp& stamp) {
    value.add(e.value);
    actions.add(e.action);
    last.add(e.action, stamp);
  }
  void merge(const Features& other) {
    value.merge(other.value);
    actions.merge(other.actions);
    last.merge(other.last);
  }
  void evict(const Features& oldest) {
    value.subtract(oldest.value);
    actions.subtract(oldest.actions);
    last.evict(oldest.last);
  }
  [[nodiscard]] FeatureResult result() const {
    FeatureResult r{value.n, actions.result(), value.result(), last.value, std::nullopt};
    if (last.value) r.event_time = last.event_time();
    return r;
  }
  BOOST_DESCRIBE_CLASS(Features, (), (value, actions, last), (), ())
};

template <class A>
using Window_ = TrailingWindow<Event, A, std::string Event::*, TieOrder Event::*>;

template <class A = Count>
OperatorHarness::Make trailing(std::vector<Trailing> windows, TrailingOptions options = {}) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<Window_<A>>(ctx, windows, options, &Event::user, &Event::origin);
  };
}
const std::vector<Trailing> kShort = {{5s, 1s}, {20s, 1s}};

EventTime at(double seconds) { return {static_cast<std::int64_t>(seconds * 1000)}; }
Record<Event> event(std::string user, double seconds) { return {{std::move(user)}, at(seconds)}; }

std::vector<std::string> rows(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const auto& row : h.drain<TrailingRow<std::string, std::int64_t>>()) {
    EXPECT_EQ(row.time, row.value.at);
    std::string text = (row.value.is_delete ? "delete " : "") + row.value.key + "@" +
                       std::to_string(row.value.at.ms);
    if (!row.value.is_delete) {
      for (const std::int64_t n : row.value.results) text += " " + std::to_string(n);
    }
    all.push_back(text);
  }
  return all;
}

TEST(TrailingWindowTest, CountsAndDecays) {
  OperatorHarness::run(trailing(kShort), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1)});
    EXPECT_THAT(rows(h), ElementsAre("a@1000 1 1"));
    h.push({event("a", 3)});
    EXPECT_THAT(rows(h), ElementsAre("a@3000 2 2"));
    h.watermark(at(8));
    EXPECT_THAT(rows(h), ElementsAre("a@6000 1 2"));
    h.watermark(at(9));
    EXPECT_THAT(rows(h), ElementsAre("a@8000 0 2"));
    h.watermark(at(30));
    EXPECT_THAT(rows(h), ElementsAre("a@21000 0 1", "a@23000 0 0"));
    EXPECT_EQ(h.forwarded(), at(30));
  });
}

TEST(TrailingWindowTest, EmptyKeysAreDeletedAndForgotten) {
  OperatorHarness::run(
      trailing(kShort, {.lateness = 10s, .deletes_empty = true}), [](OperatorHarness& h) {
        SCOPED_TRACE(h.mode());
        h.push({event("a", 1)});
        h.watermark(at(22));
        EXPECT_THAT(rows(h), ElementsAre("a@1000 1 1", "a@6000 0 1", "delete a@21000"));
        // Known until its last decay + lateness is passed: an older record does not take the key
        // back in time.
        h.push({event("a", 15)});
        EXPECT_THAT(rows(h), ElementsAre("a@21000 0 1"));
        h.watermark(at(46));
        EXPECT_THAT(rows(h), ElementsAre("delete a@35000"));
        h.push({event("a", 40)});
        EXPECT_THAT(rows(h), ElementsAre("a@40000 1 1", "a@45000 0 1"));
      });
}

TEST(TrailingWindowTest, AnOlderRecordHoldsAtTheGreatestInstant) {
  OperatorHarness::run(trailing(kShort), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 10), event("a", 4), event("a", 7)});
    EXPECT_THAT(rows(h), ElementsAre("a@10000 1 1", "a@10000 1 2", "a@10000 2 3"));
  });
}

TEST(TrailingWindowTest, WhatHasLeftByARecordsTimeGivesNoRowOfItsOwn) {
  OperatorHarness::run(trailing(kShort), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1), event("a", 7)});
    h.watermark(at(9));
    EXPECT_THAT(rows(h), ElementsAre("a@1000 1 1", "a@7000 1 2"));
  });
}

TEST(TrailingWindowTest, PassedDecaysOfAnOlderRecordFollowItsBatch) {
  OperatorHarness::run(trailing(kShort, {.lateness = 1min}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.watermark(at(30));
    h.push({event("a", 1), event("a", 2), event("b", 29)});
    EXPECT_THAT(rows(h),
                UnorderedElementsAre("a@1000 1 1", "a@2000 2 2", "b@29000 1 1", "a@6000 1 2",
                                     "a@7000 0 2", "a@21000 0 1", "a@22000 0 0"));
  });
}

TEST(TrailingWindowTest, OnWatermarkTakesInstantsInOrder) {
  OperatorHarness::run(trailing(kShort, {.emit = TrailingEmit::kOnWatermark, .lateness = 2s}),
                       [](OperatorHarness& h) {
                         SCOPED_TRACE(h.mode());
                         h.push({event("a", 6), event("a", 1), event("b", 9)});
                         EXPECT_THAT(rows(h), IsEmpty());
                         h.watermark(at(8));
                         EXPECT_THAT(rows(h), ElementsAre("a@1000 1 1"));
                         EXPECT_EQ(h.forwarded(), at(6));
                         h.push({event("a", 6)});
                         h.watermark(at(9));
                         EXPECT_THAT(rows(h),
                                     ElementsAre("a@6000 0 1", "a@6000 1 2", "a@6000 2 3"));
                         h.end();
                         EXPECT_THAT(rows(h), ElementsAre("b@9000 1 1"));
                       });
}

TEST(TrailingWindowTest, CoalescedGivesTheLastRowOfEachInterval) {
  OperatorHarness::run(trailing(kShort, {.emit = TrailingEmit::kCoalesced, .interval = 10s}),
                       [](OperatorHarness& h) {
                         SCOPED_TRACE(h.mode());
                         h.push({event("a", 1), event("a", 3), event("a", 12)});
                         h.watermark(at(9.999));
                         EXPECT_THAT(rows(h), IsEmpty());
                         h.watermark(at(10));
                         EXPECT_THAT(rows(h), ElementsAre("a@8000 0 2"));
                         EXPECT_EQ(h.forwarded(), at(10));
                         h.watermark(at(17));
                         h.end();
                         EXPECT_THAT(rows(h), ElementsAre("a@12000 1 3"));
                       });
}

TEST(TrailingWindowTest, TheEndLetsNothingDecayBeyondTheLastWatermark) {
  for (const TrailingEmit emit :
       {TrailingEmit::kOnRecord, TrailingEmit::kOnWatermark, TrailingEmit::kCoalesced}) {
    OperatorHarness::run(trailing(kShort, {.emit = emit, .interval = 1h, .lateness = 1min}),
                         [&](OperatorHarness& h) {
                           SCOPED_TRACE(h.mode());
                           h.push({event("a", 1), event("b", 2)});
                           h.watermark(at(2.001));
                           h.end();
                           EXPECT_THAT(rows(h), UnorderedElementsAre("a@1000 1 1", "b@2000 1 1"));
                         });
  }
}

TEST(TrailingWindowTest, ChangesOnly) {
  OperatorHarness::run(trailing({{5s, 1s}}, {.changes_only = true}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1), event("a", 6)});  // the first has left: still one
    EXPECT_THAT(rows(h), ElementsAre("a@1000 1"));
    h.watermark(at(12));
    EXPECT_THAT(rows(h), ElementsAre("a@11000 0"));
  });
}

TEST(TrailingWindowTest, ResolutionsDifferPerWindow) {
  OperatorHarness::run(trailing({{10s, 5s}, {60s, 20s}}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1), event("a", 5), event("a", 6), event("a", 21)});
    rows(h);
    h.watermark(at(200));
    // 1 and 5 share (0,5], 6 is in (5,10]: both are in (0,20] of the other window.
    EXPECT_THAT(rows(h), ElementsAre("a@35000 0 4", "a@80000 0 1", "a@100000 0 0"));
  });
}

TEST(TrailingWindowTest, TheMainJobsFeatures) {
  const std::vector<Trailing> windows = {{5min, Trailing::auto_resolution(5min)},
                                         {1h, Trailing::auto_resolution(1h)}};
  OperatorHarness::run(trailing<Features>(windows), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Event>({{{"u", "click", 0.1, {0, 1}}, at(10)},
                   {{"u", "buy", 0.2, {0, 2}}, at(20)},
                   {{"u", "view", 0.3, {1, 0}}, at(20)}});
    auto out = h.drain<TrailingRow<std::string, FeatureResult>>();
    ASSERT_EQ(out.size(), 3U);
    EXPECT_EQ(out[2].value.results[1], (FeatureResult{3, 3, 0.6 / 3, "view", at(20)}));
    h.push<Event>({{{"u", "late", 0.3, {0, 3}}, at(15)}});
    out = h.drain<TrailingRow<std::string, FeatureResult>>();
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(out[0].value.results[0].last_action, "view");
    h.watermark(at(310.001));
    out = h.drain<TrailingRow<std::string, FeatureResult>>();
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(out[0].value.at, at(310));
    EXPECT_EQ(out[0].value.results[0].event_count, 3);
    EXPECT_EQ(out[0].value.results[0].unique_actions, 3);
    h.watermark(at(10000));
    out = h.drain<TrailingRow<std::string, FeatureResult>>();
    ASSERT_EQ(out.size(), 3U);
    EXPECT_EQ(out.back().value.results[1], FeatureResult{});
    EXPECT_TRUE(out.back().value.is_empty);
  });
}

TEST(TrailingWindowTest, AnIdleUserTakesFewBytes) {
  const TrailingLayout layout({{5min, 5s}, {1h, 1min}, {24h, 24min}});
  TrailingKey<Features> key;
  key.prepare(layout);
  const EventTime now{1767225600123};
  const Event e{"u42", "add_to_cart", 19.99, {3, 123456789}};
  key.advance(layout, now);
  key.add(layout, {now, e.origin}, e);
  key.timer = key.next_leave();
  Bytes bytes;
  encode(bytes, key);
  EXPECT_LE(bytes.size(), 100U);
}

TEST(TrailingWindowTest, ABatchDuringAFiringDoesNotShowInIt) {
  OperatorHarness::run(trailing(kShort, {.firing_budget = 1}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    Batch<Event> first;
    Batch<Event> second;
    for (int i = 0; i < 20; ++i) {
      first.append({std::to_string(i)}, at(1));
      second.append({std::to_string(i)}, at(13));
    }
    h.push(std::move(first));
    h.begin_watermark(at(12));
    h.push(std::move(second));
    h.finish_watermark();
    std::vector<std::string> expected;
    for (int i = 0; i < 20; ++i) {
      for (const char* row : {"@1000 1 1", "@6000 0 1", "@13000 1 2"})
        expected.push_back(std::to_string(i) + row);
    }
    EXPECT_THAT(rows(h), ::testing::UnorderedElementsAreArray(expected));
  });
}

TEST(TrailingWindowTest, RefusesImpossibleWindows) {
  EXPECT_THROW(TrailingLayout({}), Error);
  EXPECT_THROW(TrailingLayout({{5s, 0s}}), Error);
  EXPECT_THROW(OperatorHarness(trailing(kShort, {.emit = TrailingEmit::kCoalesced}), {}), Error);
}

}  // namespace
}  // namespace tidemill
