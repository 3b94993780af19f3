// Interval joins, by example and against their definition (docs/semantics.md 4): random bounds,
// types and scripts, with restarts, other parallelism and firings that yield after every row.
#include "operators/interval_join.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <rapidcheck/gtest.h>
#include <string>
#include <tuple>
#include <vector>

#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using testing::HarnessOptions;
using ::testing::IsEmpty;
using testing::OperatorHarness;
using ::testing::UnorderedElementsAre;

struct Event {
  int key = 0;
  std::string text;
};
BOOST_DESCRIBE_STRUCT(Event, (), (key, text))

struct Text {
  std::string operator()(const Event* left, const Event* right) const {
    return (left != nullptr ? left->text : "-") + "," + (right != nullptr ? right->text : "-");
  }
};
using Join = IntervalJoin<Event, Event, int Event::*, int Event::*, Text>;

OperatorHarness::Make join(const IntervalJoinOptions& options) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<Join>(ctx, options, &Event::key, &Event::key, Text{});
  };
}
OperatorHarness::Make join(JoinType type, Duration lower, Duration upper) {
  return join({lower, upper, type});
}

EventTime at(double seconds) { return {static_cast<std::int64_t>(seconds * 1000)}; }
void left(OperatorHarness& h, double seconds, std::string text, int key = 1) {
  h.push<Event>({{{key, std::move(text)}, at(seconds)}}, 0);
}
void right(OperatorHarness& h, double seconds, std::string text, int key = 1) {
  h.push<Event>({{{key, std::move(text)}, at(seconds)}}, 1);
}
std::vector<std::string> rows(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const auto& row : h.drain<std::string>())
    all.push_back(row.value + "@" + std::to_string(row.time.ms));
  return all;
}
std::vector<std::string> late(OperatorHarness& h, std::size_t port) {
  std::vector<std::string> all;
  for (const auto& row : h.drain<Event>(port)) all.push_back(row.value.text);
  return all;
}

TEST(IntervalJoinTest, PairsWithinInclusiveBoundsAtTheGreaterTime) {
  OperatorHarness::run(join(JoinType::kInner, -1s, 2s), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 5, "l");
    right(h, 3.999, "too early");
    right(h, 4, "first");
    right(h, 7, "last");
    right(h, 7.001, "too late");
    right(h, 5, "other", 2);
    EXPECT_THAT(rows(h), ElementsAre("l,first@5000", "l,last@7000"));
    left(h, 5.001, "m");
    EXPECT_THAT(rows(h), UnorderedElementsAre("m,last@7000", "m,too late@7001"));
    h.end();
    EXPECT_THAT(rows(h), IsEmpty());
  });
}

TEST(IntervalJoinTest, ARowWithoutAPartnerComesWhenNothingCanMatchIt) {
  OperatorHarness::run(join(JoinType::kOuter, -1s, 2s), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 9, "l");
    right(h, 9, "other", 2);
    h.watermark(at(10));
    EXPECT_THAT(rows(h), IsEmpty()) << "a left row at 10 could still match";
    EXPECT_EQ(h.forwarded(), at(8));
    h.watermark(at(10.001));
    EXPECT_THAT(rows(h), ElementsAre("-,other@9000"));
    h.watermark(at(11));
    EXPECT_THAT(rows(h), IsEmpty());
    h.watermark(at(11.001));
    EXPECT_THAT(rows(h), ElementsAre("l,-@9000"));
    EXPECT_EQ(h.forwarded(), at(9.001));
  });
}

TEST(IntervalJoinTest, ARowThatHadAPartnerIsNeverPadded) {
  OperatorHarness::run(join(JoinType::kOuter, 0s, 5s), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 1, "l");
    left(h, 2, "m");
    right(h, 1, "r");
    EXPECT_THAT(rows(h), ElementsAre("l,r@1000"));
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("m,-@2000"));
  });
}

TEST(IntervalJoinTest, ALateRowIsLateEvenWhilePartnersAreKept) {
  OperatorHarness::run(join(JoinType::kLeft, -10s, 10s), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 5, "l");
    h.watermark(at(6));
    right(h, 5.999, "r");
    left(h, 5, "m");
    EXPECT_THAT(rows(h), IsEmpty());
    EXPECT_THAT(late(h, 1), ElementsAre("m"));
    EXPECT_THAT(late(h, 2), ElementsAre("r"));
    EXPECT_EQ(h.count("tidemill_late_records_total"), 2U);
    right(h, 6, "s");
    EXPECT_THAT(rows(h), ElementsAre("l,s@6000"));
  });
}

TEST(IntervalJoinTest, WithBothBoundsInThePastARowIsDecidedAtOnce) {
  OperatorHarness::run(join(JoinType::kLeft, -5s, -2s), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    right(h, 7, "r");
    h.watermark(at(10));
    h.push<Event>({{{2, "alone"}, at(10)}, {{1, "paired"}, at(10)}, {{2, "waits"}, at(12)}}, 0);
    EXPECT_THAT(rows(h), ElementsAre("paired,r@10000", "alone,-@10000"))
        << "at the end of the batch; a right row at 10 could still match the one at 12";
    h.watermark(at(10.001));
    EXPECT_THAT(rows(h), ElementsAre("waits,-@12000"));
  });
}

TEST(IntervalJoinTest, AnInterruptedFiringGivesEachRowOnce) {
  OperatorHarness::run(join({-1s, 1s, JoinType::kOuter, 2}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    Batch<Event> batch;
    for (int key = 0; key < 7; ++key) batch.append({key, std::to_string(key)}, at(1));
    h.push(std::move(batch), 0);
    h.begin_watermark(at(5));
    EXPECT_THAT(rows(h).size(), 2);
    left(h, 5, "new");
    right(h, 5.5, "partner");
    h.begin_watermark(at(20));
    h.finish_watermark();
    EXPECT_THAT(rows(h), UnorderedElementsAre("new,partner@5500", ::testing::_, ::testing::_,
                                              ::testing::_, ::testing::_, ::testing::_));
  });
}

TEST(IntervalJoinTest, EventTimeSaturates) {
  const Duration forever = Duration::max();
  OperatorHarness::run(join(JoinType::kOuter, -forever, forever), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Event>({{{1, "l"}, EventTime{EventTime::min().ms + 1}}}, 0);
    h.push<Event>({{{2, "m"}, EventTime{EventTime::max().ms - 1}}}, 0);
    h.push<Event>({{{2, "r"}, EventTime{0}}}, 1);
    EXPECT_THAT(rows(h), ElementsAre("m,r@9223372036854775806"));
    h.watermark(EventTime{0});
    EXPECT_THAT(rows(h), IsEmpty());
    h.watermark(EventTime{1});
    EXPECT_THAT(rows(h), ElementsAre("l,-@-9223372036854775807"));
    h.end();
    EXPECT_THAT(rows(h), IsEmpty());
  });
}

TEST(IntervalJoinTest, RefusesImpossibleBoundsAndFunctionsThatKnowNoMissingSide) {
  EXPECT_THROW(OperatorHarness(join(JoinType::kInner, 2s, 1s), {}), Error);
  const auto needs_both = [](const Event& l, const Event& r) { return l.text + r.text; };
  using Both = IntervalJoin<Event, Event, int Event::*, int Event::*,
                            std::remove_const_t<decltype(needs_both)>>;
  const auto make = [&](JoinType type) {
    return [=](OperatorContext& ctx) {
      return std::make_unique<Both>(ctx, IntervalJoinOptions{0s, 1s, type}, &Event::key,
                                    &Event::key, needs_both);
    };
  };
  EXPECT_THROW(OperatorHarness(make(JoinType::kLeft), {}), Error);
  OperatorHarness h(make(JoinType::kInner), {});
  left(h, 1, "l");
  right(h, 1, "r");
  EXPECT_THAT(rows(h), ElementsAre("lr@1000"));
}

// Rows of about three times the memory their tables may hold: all of them are kept until the end.
TEST(IntervalJoinTest, KeepsMoreRowsThanFitInMemory) {
  constexpr std::size_t kMemory = std::size_t{4} << 20;
  constexpr int kBatches = 40;
  constexpr int kRows = 500;  // in a batch, of one side
  constexpr int kKeys = 10'000;
  OperatorHarness h(join(JoinType::kLeft, -1h, 1h), {.backend = "rocksdb", .memory = kMemory});
  std::size_t pairs = 0;
  std::size_t alone = 0;
  std::size_t most = 0;
  const auto step = [&] {
    for (const auto& row : h.drain<std::string>()) ++(row.value.ends_with("-") ? alone : pairs);
    h.advance(1ms);  // as the runtime does: gives memory back
    most = std::max(most, h.memory_used());
  };
  for (const int side : {0, 1}) {
    for (int i = 0; i < kBatches; ++i) {
      Batch<Event> batch;
      for (int n = 0; n < kRows; ++n) {
        const int number = i * kRows + n;
        // The right side has the even keys only.
        const int key = side == 0 ? number % kKeys : number * 2 % kKeys;
        batch.append({key, std::string(150, 'x')}, EventTime{number * 50});
      }
      h.push(std::move(batch), side);
      step();
    }
  }
  EXPECT_EQ(pairs, kBatches * kRows / kKeys * kBatches * kRows);
  EXPECT_EQ(alone, 0U);
  h.end();
  step();
  EXPECT_EQ(alone, kBatches * kRows / 2);
  EXPECT_LT(most, kMemory + kMemory / 4);
  EXPECT_LT(h.memory_used(), kMemory / 2) << "what is decided is dropped";
}

// The rows of a step from lists of all records that were on time. A row: key, time, text.
class Oracle {
 public:
  using Row = std::tuple<int, std::int64_t, std::string>;

  explicit Oracle(const IntervalJoinOptions& options) : o_(options) {}

  std::vector<Row> batch(int side, const std::vector<Record<Event>>& records) {
    std::vector<Row> rows;
    for (const Record<Event>& record : records) {
      const auto& [event, time] = record;
      if (time.ms < watermark_) {
        rows.emplace_back(-1 - side, time.ms, event.text);
        continue;
      }
      Kept row{event, time.ms, false};
      for (Kept& other : kept_[1 - side]) {
        const Kept& l = side == 0 ? row : other;
        const Kept& r = side == 0 ? other : row;
        if (l.event.key != r.event.key || r.time < l.time + o_.lower.count() ||
            r.time > l.time + o_.upper.count())
          continue;
        rows.emplace_back(l.event.key, std::max(l.time, r.time), l.event.text + "," + r.event.text);
        row.is_matched = other.is_matched = true;
      }
      kept_[side].push_back(row);
    }
    decide(rows);
    return rows;
  }
  std::vector<Row> watermark(std::int64_t time) {
    watermark_ = time;
    std::vector<Row> rows;
    decide(rows);
    return rows;
  }

 private:
  struct Kept {
    Event event;
    std::int64_t time;
    bool is_matched;
  };
  void decide(std::vector<Row>& rows) {
    for (const int side : {0, 1}) {
      const std::int64_t bound = side == 0 ? o_.upper.count() : -o_.lower.count();
      std::erase_if(kept_[side], [&](const Kept& row) {
        if (watermark_ <= row.time + bound) return false;
        const bool pads = side == 0 ? pads_left(o_.type) : pads_right(o_.type);
        if (pads && !row.is_matched)
          rows.emplace_back(row.event.key, row.time,
                            side == 0 ? row.event.text + ",-" : "-," + row.event.text);
        return true;
      });
    }
  }

  const IntervalJoinOptions o_;
  std::vector<Kept> kept_[2];
  std::int64_t watermark_ = -1000000;
};

void operator_and_oracle_agree() {
  IntervalJoinOptions options{};
  options.lower = Duration(*rc::gen::inRange(-12, 8));
  options.upper = options.lower + Duration(*rc::gen::inRange(0, 15));
  options.type = static_cast<JoinType>(*rc::gen::inRange(0, 4));
  options.firing_budget = *rc::gen::element<std::size_t>(1, 3, 1000);
  // Buckets are a second wide at least, so times are sometimes spread over several of them.
  const int scale = *rc::gen::element(1, 1000);
  options.lower *= scale;
  options.upper *= scale;
  OperatorHarness h(
      [&](OperatorContext& ctx) {
        return std::make_unique<Join>(ctx, options, &Event::key, &Event::key, Text{});
      },
      HarnessOptions{.backend = "memory",
                     .restarts = *rc::gen::inRange(0, 3) == 0,
                     .parallelism = *rc::gen::inRange(1, 4),
                     .key_groups = *rc::gen::element(4U, 16U)});
  Oracle oracle(options);
  std::vector<Oracle::Row> expected;
  std::vector<Oracle::Row> actual;
  std::map<std::string, int> keys;
  const auto collect = [&](const std::vector<Oracle::Row>& rows) {
    expected.insert(expected.end(), rows.begin(), rows.end());
  };
  const auto take = [&] {
    for (const auto& [text, time] : h.drain<std::string>()) {
      const std::string first = text.substr(0, text.find(','));
      actual.emplace_back(keys.at(first == "-" ? text.substr(2) : first), time.ms, text);
    }
    for (const int side : {0, 1}) {
      for (const auto& [event, time] : h.drain<Event>(static_cast<std::size_t>(1 + side)))
        actual.emplace_back(-1 - side, time.ms, event.text);
    }
  };
  const auto compare = [&] {
    std::sort(expected.begin(), expected.end());
    std::sort(actual.begin(), actual.end());
    RC_ASSERT(actual == expected);
  };
  std::int64_t watermark = *rc::gen::inRange(-40, 10) * scale;
  bool is_firing = false;
  const int steps = *rc::gen::inRange(1, 20);
  for (int i = 0; i < steps; ++i) {
    const int step = *rc::gen::inRange(0, 10);
    if (step < 6) {
      const int side = *rc::gen::inRange(0, 2);
      std::vector<Record<Event>> records(static_cast<std::size_t>(*rc::gen::inRange(1, 6)));
      Batch<Event> batch;
      for (Record<Event>& r : records) {
        r = {{*rc::gen::inRange(0, 3), std::to_string(keys.size())},
             {watermark + *rc::gen::inRange(-3, 20) * scale}};
        keys[r.value.text] = r.value.key;
        batch.append_hashed(r.value, r.time, key_hash(r.value.key));
      }
      collect(oracle.batch(side, records));
      h.push(std::move(batch), side);
    } else if (step < 9) {
      watermark += *rc::gen::inRange(0, 12) * scale;
      collect(oracle.watermark(watermark));
      is_firing = *rc::gen::arbitrary<bool>();
      is_firing ? h.begin_watermark({watermark}) : h.watermark({watermark});
    } else {
      h.restart(*rc::gen::inRange(1, 4));
    }
    take();
    if (!is_firing) compare();
  }
  collect(oracle.watermark(1000000));
  h.end();
  take();
  compare();
}

TEST(IntervalJoinTest, AgreesWithItsDefinition) {
  EXPECT_TRUE(rc::check("any script", operator_and_oracle_agree));
}

}  // namespace
}  // namespace tidemill
