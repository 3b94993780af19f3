// Window joins and co-groups: pairs of the same key and window, late sides, interrupted firings.
#include "operators/window_join.h"

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

struct Both {
  std::string operator()(const Event& left, const Event& right) const {
    return left.text + "," + right.text;
  }
};
using Join = WindowJoin<Event, Event, int Event::*, int Event::*, Both>;

struct Counts {
  template <class Emit>
  void operator()(const CoGroup<int, Event, Event>& group, Emit&& emit) const {
    std::string text;
    for (const Event& e : group.left) text += e.text;
    text += "|";
    for (const Event& e : group.right) text += e.text;
    emit(text);
  }
};
using Grouped = WindowCoGroup<Event, Event, int Event::*, int Event::*, std::string, Counts>;

OperatorHarness::Make join(const Sliding& windows, std::size_t budget = 4096) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<Join>(ctx, AlignedWindows(windows), &Event::key, &Event::key,
                                  EachPair<Both>{}, budget);
  };
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
  for (const auto& row : h.drain<Windowed<int, std::string>>()) {
    EXPECT_EQ(row.time, row.value.window.last());
    all.push_back(row.value.value + "@" + std::to_string(row.time.ms));
  }
  return all;
}
std::vector<std::string> late(OperatorHarness& h, std::size_t port) {
  std::vector<std::string> all;
  for (const auto& row : h.drain<Event>(port)) all.push_back(row.value.text);
  return all;
}

TEST(WindowJoinTest, PairsOfOneKeyAndWindowAtItsLastInstant) {
  OperatorHarness::run(join({10s, 10s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 1, "a");
    left(h, 9.999, "b");
    right(h, 0, "x");
    right(h, 10, "next window");
    right(h, 2, "other key", 2);
    h.watermark(at(9.999));
    EXPECT_THAT(rows(h), IsEmpty());
    h.watermark(at(10));
    EXPECT_THAT(rows(h), UnorderedElementsAre("a,x@9999", "b,x@9999"));
    h.end();
    EXPECT_THAT(rows(h), IsEmpty());
  });
}

TEST(WindowJoinTest, ASlidingWindowJoinsRowsOfSeveralSlices) {
  OperatorHarness::run(join({10s, 5s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 7, "l");
    right(h, 12, "r");
    h.watermark(at(10));
    EXPECT_THAT(rows(h), IsEmpty());
    left(h, 8, "m");
    h.watermark(at(15));
    EXPECT_THAT(rows(h), UnorderedElementsAre("l,r@14999", "m,r@14999"));
    right(h, 14, "for the last window only");
    h.watermark(at(30));
    EXPECT_THAT(rows(h), IsEmpty());
  });
}

TEST(WindowJoinTest, ARowIsLateWhenAllItsWindowsAreClosed) {
  OperatorHarness::run(join({10s, 10s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 1, "a");
    h.watermark(at(9));
    right(h, 2, "behind the watermark, on time");
    h.watermark(at(10));
    EXPECT_THAT(rows(h), ElementsAre("a,behind the watermark, on time@9999"));
    left(h, 9, "l");
    right(h, 9, "r");
    EXPECT_THAT(late(h, 1), ElementsAre("l"));
    EXPECT_THAT(late(h, 2), ElementsAre("r"));
    EXPECT_EQ(h.count("tidemill_late_records_total"), 2U);
  });
}

TEST(WindowJoinTest, ACoGroupShowsKeysOfEitherSideInTheOrderOfTime) {
  const auto grouped = [](OperatorContext& ctx) {
    return std::make_unique<Grouped>(ctx, AlignedWindows(Sliding{10s, 5s}), &Event::key,
                                     &Event::key, Counts{});
  };
  OperatorHarness::run(grouped, [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    left(h, 7, "b");
    left(h, 1, "a");
    right(h, 3, "x", 2);
    h.watermark(at(10));
    EXPECT_THAT(rows(h), UnorderedElementsAre("a|@4999", "|x@4999", "ab|@9999", "|x@9999"));
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("b|@14999"));
  });
}

TEST(WindowJoinTest, RefusesACheckpointOfOtherWindows) {
  bool is_later = false;
  OperatorHarness h(
      [&](OperatorContext& ctx) {
        return std::make_unique<Join>(ctx, AlignedWindows(Tumbling{is_later ? 5s : 10s}),
                                      &Event::key, &Event::key, EachPair<Both>{});
      },
      {});
  left(h, 1, "a");
  is_later = true;
  EXPECT_THROW(h.restart(), Error);
}

// All pairs of a window from lists of all records. A row: key (-1: late), time, text.
using Row = std::tuple<int, std::int64_t, std::string>;
class Oracle {
 public:
  explicit Oracle(const Sliding& windows) : w_(windows) {}

  void batch(int side, const std::vector<Record<Event>>& records, std::vector<Row>& rows) {
    for (const Record<Event>& record : records) {
      const auto starts = starts_of(record.time.ms);
      const auto is_open = [&](std::int64_t start) { return watermark_ < start + w_.size.count(); };
      if (!starts.empty() && std::none_of(starts.begin(), starts.end(), is_open))
        rows.emplace_back(-1 - side, record.time.ms, record.value.text);
      for (const std::int64_t start : starts) {
        if (is_open(start)) windows_[start][side].push_back(record.value);
      }
    }
  }
  void watermark(std::int64_t time, std::vector<Row>& rows) {
    watermark_ = time;
    while (!windows_.empty() && windows_.begin()->first + w_.size.count() <= time) {
      auto& [start, sides] = *windows_.begin();
      for (const Event& l : sides[0]) {
        for (const Event& r : sides[1]) {
          if (l.key == r.key)
            rows.emplace_back(l.key, start + w_.size.count() - 1, l.text + "," + r.text);
        }
      }
      windows_.erase(windows_.begin());
    }
  }

 private:
  [[nodiscard]] std::vector<std::int64_t> starts_of(std::int64_t time) const {
    std::vector<std::int64_t> starts;
    for (std::int64_t start = time - w_.size.count() + 1; start <= time; ++start) {
      if ((start - w_.offset.count()) % w_.slide.count() == 0) starts.push_back(start);
    }
    return starts;
  }

  const Sliding w_;
  std::map<std::int64_t, std::vector<Event>[2]> windows_;
  std::int64_t watermark_ = -1000000;
};

void operator_and_oracle_agree() {
  Sliding windows{};
  windows.size = Duration(*rc::gen::inRange(1, 13));
  windows.slide = *rc::gen::arbitrary<bool>() ? windows.size : Duration(*rc::gen::inRange(1, 13));
  windows.offset = Duration(*rc::gen::inRange(-20, 20));
  OperatorHarness h(join(windows, *rc::gen::element<std::size_t>(1, 3, 1000)),
                    HarnessOptions{.backend = "memory",
                                   .restarts = *rc::gen::inRange(0, 3) == 0,
                                   .parallelism = *rc::gen::inRange(1, 4),
                                   .key_groups = *rc::gen::element(4U, 16U)});
  Oracle oracle(windows);
  std::vector<Row> expected;
  std::vector<Row> actual;
  const auto take = [&] {
    for (const auto& [row, time] : h.drain<Windowed<int, std::string>>())
      actual.emplace_back(row.key, time.ms, row.value);
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
  std::int64_t watermark = *rc::gen::inRange(-40, 10);
  int number = 0;
  bool is_firing = false;
  const int steps = *rc::gen::inRange(1, 20);
  for (int i = 0; i < steps; ++i) {
    const int step = *rc::gen::inRange(0, 10);
    if (step < 6) {
      const int side = *rc::gen::inRange(0, 2);
      std::vector<Record<Event>> records(static_cast<std::size_t>(*rc::gen::inRange(1, 6)));
      Batch<Event> batch;
      for (Record<Event>& r : records) {
        r = {{*rc::gen::inRange(0, 3), std::to_string(number++)},
             {watermark + *rc::gen::inRange(-12, 20)}};
        batch.append_hashed(r.value, r.time, key_hash(r.value.key));
      }
      oracle.batch(side, records, expected);
      h.push(std::move(batch), side);
    } else if (step < 9) {
      watermark += *rc::gen::inRange(0, 15);
      oracle.watermark(watermark, expected);
      is_firing = *rc::gen::arbitrary<bool>();
      is_firing ? h.begin_watermark({watermark}) : h.watermark({watermark});
    } else {
      h.restart(*rc::gen::inRange(1, 4));
    }
    take();
    if (!is_firing) compare();
  }
  oracle.watermark(1000000, expected);
  h.end();
  take();
  compare();
}

TEST(WindowJoinTest, AgreesWithItsDefinition) {
  EXPECT_TRUE(rc::check("any script", operator_and_oracle_agree));
}

}  // namespace
}  // namespace tidemill
