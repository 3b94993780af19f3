// Session windows by example, and against their definition (docs/semantics.md 2) at random: scripts
// with restarts, other parallelism and firings that yield after every timer. The oracle keeps the
// records of each session and computes every row from them.
#include "operators/session_window.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <rapidcheck/gtest.h>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operators/aggregates.h"
#include "operators/collections.h"
#include "operators/combined.h"
#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using testing::HarnessOptions;
using ::testing::IsEmpty;
using testing::OperatorHarness;
using ::testing::UnorderedElementsAre;

struct Event {
  std::string key;
  int value = 1;
};
using Values = std::vector<int>;
using Contents = Of<&Event::value, Collect<int>>;

// All values, or the greatest only, so that a result may stay as it was.
struct Shown {
  bool only_greatest = false;
  Values operator()(const Contents& contents) const { return of(contents.result()); }
  [[nodiscard]] Values of(Values values) const {
    if (only_greatest && !values.empty()) return {*std::max_element(values.begin(), values.end())};
    return values;
  }
};
template <Revisions kRevisions>
using Sessions = SessionWindow<Event, Contents, std::string Event::*, Shown, kRevisions>;
using Row = Windowed<std::string, Values>;

template <Revisions kRevisions = Revisions::kChanges>
OperatorHarness::Make sessions(Duration gap, const WindowOptions& options = {}, Shown shown = {}) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<Sessions<kRevisions>>(ctx, Session{gap}, options, &Event::key, shown);
  };
}

EventTime at(std::int64_t seconds) { return {seconds * 1000}; }
Record<Event> event(std::string key, std::int64_t seconds, int value = 1) {
  return {{std::move(key), value}, at(seconds)};
}

std::string window_text(const std::string& key, const Window& window) {
  return key + "[" + std::to_string(window.start.ms) + "," + std::to_string(window.end.ms) + ")";
}
std::string text(const Row& row) {
  std::string all = window_text(row.key, row.window) + "=";
  for (const int value : row.value) all += std::to_string(value) + ";";
  return all;
}
std::string late_text(const std::string& key, EventTime time) {
  return "late " + key + "@" + std::to_string(time.ms);
}
std::string prefix_of(ChangeKind kind) {
  return kind == ChangeKind::kInsert ? "+" : kind == ChangeKind::kUpdate ? "~" : "-";
}

// What has come out, in order; inserts with +, updates with ~, deletes with - and no value.
std::vector<std::string> rows(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const auto& [change, time] : h.drain<Change<Row>>()) {
    EXPECT_EQ(time, change.row.window.end);
    all.push_back(prefix_of(change.kind) + (change.is_delete()
                                                ? window_text(change.row.key, change.row.window)
                                                : text(change.row)));
  }
  for (const auto& [event, time] : h.drain<Event>(1)) all.push_back(late_text(event.key, time));
  return all;
}

TEST(SessionWindowTest, WindowsThatOverlapOrTouchMergeAndFireOnceTheirEndIsPassed) {
  OperatorHarness::run(sessions(5s), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 0, 1), event("a", 5, 2), event("b", 3, 3), event("a", 11, 4)});
    h.watermark(at(10));
    EXPECT_THAT(rows(h), ElementsAre("+b[3000,8000)=3;"));
    h.watermark({10001});
    EXPECT_THAT(rows(h), ElementsAre("+a[0,10000)=1;2;"));
    EXPECT_EQ(h.forwarded(), EventTime{10001});
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("+a[11000,16000)=4;"));
  });
}

TEST(SessionWindowTest, ARecordBehindTheWatermarkIsNotLateWhileASessionItTouchesIsKept) {
  OperatorHarness::run(sessions(5s), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 10, 1)});
    h.watermark(at(12));
    h.push({event("a", 6, 2), event("a", 2, 3), event("b", 6, 4)});
    EXPECT_THAT(rows(h), ElementsAre("late b@6000")) << "6 touches 10, and 2 touches 6";
    EXPECT_EQ(h.count("tidemill_late_records_total"), 1U);
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("+a[2000,15000)=3;2;1;"));
  });
}

TEST(SessionWindowTest, ALateRecordMergesSessionsThatHaveFired) {
  OperatorHarness::run(sessions(5s, {.allowed_lateness = 60s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 0, 1), event("a", 5, 2), event("a", 20, 4)});
    h.watermark({25001});
    EXPECT_THAT(rows(h), ElementsAre("+a[0,10000)=1;2;", "+a[20000,25000)=4;"));
    h.push({event("a", 10, 8), event("a", 15, 16)});
    EXPECT_THAT(rows(h), ElementsAre("-a[0,10000)", "-a[20000,25000)", "+a[0,25000)=1;2;8;16;4;"));
    h.push({event("a", 21, 32)});
    EXPECT_THAT(rows(h), ElementsAre("-a[0,25000)")) << "the merged one fires at its end";
    h.watermark({26001});
    EXPECT_THAT(rows(h), ElementsAre("+a[0,26000)=1;2;8;16;4;32;"));
    h.push({event("a", 3, 64)});
    EXPECT_THAT(rows(h), ElementsAre("~a[0,26000)=1;64;2;8;16;4;32;"))
        << "in its bounds: no delete";
    h.watermark({86001});
    h.push({event("a", 3, 128)});
    EXPECT_THAT(rows(h), ElementsAre("late a@3000")) << "forgotten once end + lateness is passed";
  });
}

TEST(SessionWindowTest, AppendOnlyDeletesNothing) {
  OperatorHarness::run(sessions<Revisions::kAppendOnly>(5s, {.allowed_lateness = 60s}),
                       [](OperatorHarness& h) {
                         SCOPED_TRACE(h.mode());
                         h.push({event("a", 0, 1)});
                         h.watermark(at(6));
                         h.push({event("a", 2, 2)});
                         h.watermark(at(8));
                         std::vector<std::string> all;
                         for (const auto& [row, time] : h.drain<Row>()) all.push_back(text(row));
                         EXPECT_THAT(all, ElementsAre("a[0,5000)=1;", "a[0,7000)=1;2;"));
                       });
}

TEST(SessionWindowTest, RowsOnUpdateAndEarlyRowsAreDeletedWhenTheSessionGrows) {
  OperatorHarness::run(sessions(5s, {.on_update = true}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 0, 1), event("a", 1, 2)});
    h.push({event("a", 3, 3)});
    EXPECT_THAT(rows(h), ElementsAre("+a[0,6000)=1;2;", "-a[0,6000)", "+a[0,8000)=1;2;3;"));
    h.end();
    EXPECT_THAT(rows(h), IsEmpty());
  });
  OperatorHarness::run(sessions(5s, {.early = 2s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1, 1)});
    h.watermark({2999});
    EXPECT_THAT(rows(h), IsEmpty());
    h.watermark(at(3));
    EXPECT_THAT(rows(h), ElementsAre("+a[1000,6000)=1;"));
    h.push({event("a", 4, 2)});
    EXPECT_THAT(rows(h), ElementsAre("-a[1000,6000)"));
    h.watermark(at(30));
    EXPECT_THAT(rows(h), ElementsAre("+a[1000,9000)=1;2;", "~a[1000,9000)=1;2;"))
        << "a jump gives the early row, then that of the close";
  });
}

TEST(SessionWindowTest, EarlyByTheClock) {
  OperatorHarness::run(sessions(5s, {.early_processing = 2s}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push({event("a", 1, 1), event("b", 1, 2)});
    h.advance(2s);
    EXPECT_THAT(rows(h), UnorderedElementsAre("+a[1000,6000)=1;", "+b[1000,6000)=2;"));
    h.push({event("b", 1, 3)});
    h.advance(2s);
    EXPECT_THAT(rows(h), ElementsAre("~b[1000,6000)=2;3;"));
    h.advance(2s);
    EXPECT_THAT(rows(h), IsEmpty());
    h.end();
    EXPECT_THAT(rows(h), UnorderedElementsAre("~a[1000,6000)=1;", "~b[1000,6000)=2;3;"));
  });
}

TEST(SessionWindowTest, TheEndsOfTimeSaturate) {
  OperatorHarness::run(sessions(5s), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Event>({{{"a", 1}, {EventTime::max().ms - 1}}, {{"a", 2}, {EventTime::min().ms + 1}}});
    h.end();
    EXPECT_THAT(rows(h), ElementsAre("+a[-9223372036854775807,-9223372036854770807)=2;",
                                     "+a[9223372036854775806,9223372036854775807)=1;"));
  });
}

TEST(SessionWindowTest, ImpossibleOptionsAndAnotherGapAreRefused) {
  EXPECT_THROW(OperatorHarness(sessions(0s), {}), Error);
  EXPECT_THROW(OperatorHarness(sessions(1s, {.allowed_lateness = -1s}), {}), Error);
  Duration gap = 5s;
  OperatorHarness h([&](OperatorContext& ctx) { return sessions(gap)(ctx); }, {});
  gap = 6s;
  EXPECT_THROW(h.restart(), Error);
}

struct Settings {
  Duration gap{};
  WindowOptions options;
  Shown shown;
};

class Oracle {
 public:
  explicit Oracle(const Settings& settings)
      : s_(settings), gap_(s_.gap.count()), lateness_(s_.options.allowed_lateness.count()) {}

  std::vector<std::string> batch(const std::vector<Record<Event>>& records) {
    std::vector<std::string> out;
    std::set<std::string> gone;
    for (const Record<Event>& r : records) {
      std::vector<One> kept;
      One merged{r.value.key, r.time.ms, r.time.ms + gap_};
      const auto grown = [&](const One& one) {
        return one.key == merged.key && one.start <= merged.end && one.end >= merged.start;
      };
      std::vector<One> absorbed;
      // Merging may bring others within reach; once round is enough, since they do not touch.
      for (One& one : all_) (grown(one) ? absorbed : kept).push_back(std::move(one));
      for (const One& one : absorbed) {
        merged.start = std::min(merged.start, one.start);
        merged.end = std::max(merged.end, one.end);
      }
      if (watermark_ > merged.end + lateness_) {
        out.push_back(late_text(r.value.key, r.time));
        all_ = std::move(kept);
        continue;
      }
      for (One& one : absorbed) {
        merged.records.insert(merged.records.end(), one.records.begin(), one.records.end());
        if (one.start == merged.start && one.end == merged.end) {
          merged.has_row = one.has_row;
          merged.last = one.last;
        } else if (one.has_row) {
          gone.insert("-" + window_text(one.key, {{one.start}, {one.end}}));
        }
      }
      merged.records.emplace_back(r.time.ms, r.value.value);
      merged.is_touched = merged.has_changed = true;
      kept.push_back(std::move(merged));
      all_ = std::move(kept);
    }
    out.insert(out.end(), gone.begin(), gone.end());
    for (One& one : all_) {
      if (std::exchange(one.is_touched, false) && (s_.options.on_update || watermark_ > one.end))
        give_out(one, out);
    }
    return out;
  }

  std::vector<std::string> watermark(std::int64_t to) {
    std::vector<std::string> out;
    if (to <= watermark_) return out;
    for (One& one : all_) {
      if (s_.options.early && one.has_changed && watermark_ <= one.end) {
        const std::int64_t every = s_.options.early->count();
        bool is_due = false;
        for (std::int64_t t = one.start + every; t <= one.end; t += every)
          is_due = is_due || (t > watermark_ && t <= to);
        if (is_due) give_out(one, out);
      }
      if (!s_.options.on_update && watermark_ <= one.end && to > one.end) give_out(one, out);
    }
    watermark_ = to;
    std::erase_if(all_, [&](const One& one) { return watermark_ > one.end + lateness_; });
    return out;
  }

 private:
  struct One {
    std::string key;
    std::int64_t start = 0;
    std::int64_t end = 0;
    bool is_touched = false;
    bool has_changed = false;
    bool has_row = false;
    Values last{};
    std::vector<std::pair<std::int64_t, int>> records{};
  };

  void give_out(One& one, std::vector<std::string>& out) {
    std::stable_sort(one.records.begin(), one.records.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    Values values;
    for (const auto& [_, value] : one.records) values.push_back(value);
    values = s_.shown.of(values);
    one.has_changed = false;
    if (s_.options.changes_only && one.has_row && one.last == values) return;
    out.push_back((one.has_row ? "~" : "+") + text(Row{one.key, {{one.start}, {one.end}}, values}));
    one.has_row = true;
    one.last = values;
  }

  const Settings s_;
  const std::int64_t gap_, lateness_;
  std::int64_t watermark_ = -1000000;
  std::vector<One> all_;
};

Settings any_settings() {
  Settings s;
  s.gap = Duration(*rc::gen::inRange(1, 9));
  s.options.allowed_lateness = Duration(*rc::gen::element(0, 0, 1, 7, 30));
  s.options.on_update = *rc::gen::inRange(0, 4) == 0;
  if (*rc::gen::inRange(0, 3) == 0) s.options.early = Duration(*rc::gen::inRange(1, 8));
  s.options.changes_only = *rc::gen::inRange(0, 3) == 0;
  s.shown.only_greatest = *rc::gen::arbitrary<bool>();
  s.options.firing_budget = *rc::gen::element<std::size_t>(1, 3, 1000);
  return s;
}

void operator_and_oracle_agree() {
  const Settings settings = any_settings();
  const HarnessOptions harness_options{.backend = "memory",
                                       .restarts = *rc::gen::inRange(0, 3) == 0,
                                       .parallelism = *rc::gen::inRange(1, 4),
                                       .key_groups = *rc::gen::element(4U, 16U)};
  OperatorHarness h(sessions(settings.gap, settings.options, settings.shown), harness_options);
  Oracle oracle(settings);
  std::int64_t watermark = *rc::gen::inRange(-40, 10);
  int next_value = 0;
  std::vector<std::string> expected;
  std::vector<std::string> actual;
  bool is_firing = false;
  const auto collect = [](std::vector<std::string> some, std::vector<std::string>& all) {
    all.insert(all.end(), some.begin(), some.end());
  };
  const int steps = *rc::gen::inRange(1, 20);
  for (int i = 0; i < steps; ++i) {
    const int step = *rc::gen::inRange(0, 10);
    if (step < 5) {
      std::vector<Record<Event>> records(static_cast<std::size_t>(*rc::gen::inRange(1, 8)));
      Batch<Event> batch;
      for (Record<Event>& r : records) {
        ++next_value;
        r = {{std::string(1, *rc::gen::element('a', 'b', 'c')),
              next_value % 7 * 10 + next_value % 3},
             {watermark + *rc::gen::inRange(-15, 25)}};
        batch.append_hashed(r.value, r.time, key_hash(r.value.key));
      }
      collect(oracle.batch(records), expected);
      h.push(std::move(batch));
    } else if (step < 9) {
      watermark += *rc::gen::inRange(0, 20);
      collect(oracle.watermark(watermark), expected);
      is_firing = *rc::gen::arbitrary<bool>();
      if (is_firing) {
        h.begin_watermark({watermark});
      } else {
        h.watermark({watermark});
      }
    } else {
      h.restart(*rc::gen::inRange(1, 4));
    }
    // While a firing is unfinished rows may come later, never other ones.
    collect(rows(h), actual);
    if (is_firing) continue;
    std::sort(expected.begin(), expected.end());
    std::sort(actual.begin(), actual.end());
    RC_ASSERT(actual == expected);
  }
  collect(oracle.watermark(1000000), expected);
  h.end();
  collect(rows(h), actual);
  std::sort(expected.begin(), expected.end());
  std::sort(actual.begin(), actual.end());
  RC_ASSERT(actual == expected);
}

TEST(SessionOracleTest, Agrees) { EXPECT_TRUE(rc::check("any script", operator_and_oracle_agree)); }

}  // namespace
}  // namespace tidemill
