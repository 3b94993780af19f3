// Tumbling and sliding windows against their definition (docs/semantics.md 2): random windows,
// options and scripts, with restarts, other parallelism and firings that yield after every row. The
// oracle computes each result from the list of records its window has taken.
#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <rapidcheck/gtest.h>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "operators/aligned_window.h"
#include "operators/collections.h"
#include "operators/combined.h"
#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using testing::HarnessOptions;
using testing::OperatorHarness;

struct Event {
  int key = 0;
  int value = 0;
};
using Values = std::vector<int>;
// Slices of the first can be taken out of a window again, those of the second cannot.
using All = Of<&Event::value, Collect<int>>;
using Greatest = Of<&Event::value, TopN<int, 3>>;
static_assert(Evictable<All> && !Evictable<Greatest> && BoundedSize<Greatest>);

// All values, or the greatest only, so that a result may stay as it was.
struct Shown {
  std::size_t greatest = 0;  // that many of them; 0: all
  Values operator()(const All& contents) const { return of(contents.result()); }
  Values operator()(const Greatest& contents) const { return of(contents.result()); }
  [[nodiscard]] Values of(Values values) const {
    if (greatest == 0) return values;
    std::sort(values.rbegin(), values.rend());
    values.resize(std::min(values.size(), greatest));
    return values;
  }
};

struct Settings {
  Sliding windows{};
  WindowOptions options;
  Shown shown;
};

// key, window start (or the record's time), content; late records have the key -1 - key.
using Row = std::tuple<int, std::int64_t, Values>;

class Oracle {
 public:
  explicit Oracle(const Settings& settings)
      : s_(settings),
        size_(s_.windows.size.count()),
        slide_(s_.windows.slide.count()),
        offset_(s_.windows.offset.count()),
        lateness_(s_.options.allowed_lateness.count()) {}

  std::vector<Row> batch(const std::vector<Record<Event>>& records) {
    std::vector<Row> rows;
    std::set<Place> touched;
    for (const Record<Event>& r : records) {
      const std::vector<std::int64_t> starts = windows_of(r.time.ms);
      bool is_late = !starts.empty();
      for (const std::int64_t start : starts) {
        if (watermark_ >= start + size_ + lateness_) continue;
        is_late = false;
        taken_[{start, r.value.key}].push_back({r.time.ms, r.value.value});
        touched.insert({start, r.value.key});
        changed_.insert({start, r.value.key});
      }
      if (is_late) rows.push_back({-1 - r.value.key, r.time.ms, {r.value.value}});
    }
    for (const Place& place : touched) {
      if (s_.options.on_update || watermark_ >= place.first + size_) give_out(place, rows);
    }
    return rows;
  }

  std::vector<Row> watermark(std::int64_t to) {
    std::vector<Row> rows;
    if (to <= watermark_) return rows;
    if (s_.options.early) {
      for (const Place& place : std::set<Place>(changed_)) {
        const std::int64_t end = place.first + size_;
        bool is_due = false;
        for (std::int64_t t = place.first + s_.options.early->count(); t < end;
             t += s_.options.early->count()) {
          is_due = is_due || (t > watermark_ && t <= to);
        }
        if (is_due) give_out(place, rows);
      }
    }
    for (const auto& [place, _] : taken_) {
      const std::int64_t end = place.first + size_;
      if (!s_.options.on_update && watermark_ < end && end <= to) give_out(place, rows);
    }
    watermark_ = to;
    return rows;
  }

 private:
  using Place = std::pair<std::int64_t, int>;  // start, key

  std::vector<std::int64_t> windows_of(std::int64_t t) const {
    std::vector<std::int64_t> starts;
    for (std::int64_t k = -200; k <= 200; ++k) {
      const std::int64_t start = k * slide_ + offset_;
      if (start <= t && t < start + size_) starts.push_back(start);
    }
    return starts;
  }

  void give_out(const Place& place, std::vector<Row>& rows) {
    std::vector<std::pair<std::int64_t, int>> records = taken_[place];
    std::stable_sort(records.begin(), records.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    Values values;
    for (const auto& [_, value] : records) values.push_back(value);
    values = s_.shown.of(values);
    changed_.erase(place);
    const auto last = last_.find(place);
    if (s_.options.changes_only && last != last_.end() && last->second == values) return;
    last_[place] = values;
    rows.push_back({place.second, place.first, values});
  }

  const Settings s_;
  const std::int64_t size_, slide_, offset_, lateness_;
  std::int64_t watermark_ = -1000000;
  std::map<Place, std::vector<std::pair<std::int64_t, int>>> taken_;
  std::set<Place> changed_;
  std::map<Place, Values> last_;
};

std::vector<Row> rows_of(OperatorHarness& h, Duration size) {
  std::vector<Row> rows;
  for (const auto& r : h.drain<Windowed<int, Values>>()) {
    RC_ASSERT(r.value.window.end - r.value.window.start == size);
    RC_ASSERT(r.time == r.value.window.end - Duration(1));
    rows.push_back({r.value.key, r.value.window.start.ms, r.value.value});
  }
  for (const auto& r : h.drain<Event>(1))
    rows.push_back({-1 - r.value.key, r.time.ms, {r.value.value}});
  return rows;
}

Settings any_settings() {
  Settings s;
  s.windows.size = Duration(*rc::gen::inRange(1, 13));
  s.windows.slide =
      *rc::gen::arbitrary<bool>() ? s.windows.size : Duration(*rc::gen::inRange(1, 13));
  s.windows.offset = Duration(*rc::gen::inRange(-20, 20));
  s.options.allowed_lateness = Duration(*rc::gen::element(0, 0, 1, 7, 30));
  s.options.on_update = *rc::gen::inRange(0, 4) == 0;
  if (*rc::gen::inRange(0, 3) == 0) s.options.early = Duration(*rc::gen::inRange(1, 8));
  s.options.changes_only = *rc::gen::inRange(0, 3) == 0;
  s.shown.greatest = *rc::gen::element<std::size_t>(0, 1, 3);
  s.options.firing_budget = *rc::gen::element<std::size_t>(1, 3, 1000);
  return s;
}

template <class Contents>
void operator_and_oracle_agree() {
  using Operator_ = AlignedWindow<Event, Contents, int Event::*, Shown>;
  Settings settings = any_settings();
  if (std::is_same_v<Contents, Greatest> && settings.shown.greatest == 0)
    settings.shown.greatest = 2;
  const HarnessOptions harness_options{.backend = "memory",
                                       .restarts = *rc::gen::inRange(0, 3) == 0,
                                       .parallelism = *rc::gen::inRange(1, 4),
                                       .key_groups = *rc::gen::element(4U, 16U)};
  OperatorHarness h(
      [&](OperatorContext& ctx) {
        return std::make_unique<Operator_>(ctx, AlignedWindows(settings.windows), settings.options,
                                           &Event::key, settings.shown);
      },
      harness_options);
  Oracle oracle(settings);
  std::int64_t watermark = *rc::gen::inRange(-40, 10);
  int next_value = 0;
  std::vector<Row> expected;
  std::vector<Row> actual;
  const int steps = *rc::gen::inRange(1, 20);
  bool is_firing = false;
  const auto collect = [&](std::vector<Row> rows) {
    expected.insert(expected.end(), rows.begin(), rows.end());
  };
  for (int i = 0; i < steps; ++i) {
    const int step = *rc::gen::inRange(0, 10);
    if (step < 5) {
      std::vector<Record<Event>> records(static_cast<std::size_t>(*rc::gen::inRange(1, 8)));
      Batch<Event> batch;
      for (Record<Event>& r : records) {
        ++next_value;
        r = {{*rc::gen::inRange(0, 3), next_value % 7 * 10 + next_value % 3},
             {watermark + *rc::gen::inRange(-15, 25)}};
        batch.append_hashed(r.value, r.time, key_hash(r.value.key));
      }
      collect(oracle.batch(records));
      h.push(std::move(batch));
    } else if (step < 9) {
      watermark += *rc::gen::inRange(0, 20);
      collect(oracle.watermark(watermark));
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
    for (Row& row : rows_of(h, settings.windows.size)) actual.push_back(std::move(row));
    if (is_firing) continue;
    std::sort(expected.begin(), expected.end());
    std::sort(actual.begin(), actual.end());
    RC_ASSERT(actual == expected);
  }
  collect(oracle.watermark(1000000));
  h.end();
  for (Row& row : rows_of(h, settings.windows.size)) actual.push_back(std::move(row));
  std::sort(expected.begin(), expected.end());
  std::sort(actual.begin(), actual.end());
  RC_ASSERT(actual == expected);
}

TEST(WindowOracleTest, Agrees) {
  EXPECT_TRUE(rc::check("any script", operator_and_oracle_agree<All>));
}
TEST(WindowOracleTest, AgreesWhereSlicesCannotBeTakenOut) {
  EXPECT_TRUE(rc::check("any script", operator_and_oracle_agree<Greatest>));
}

}  // namespace
}  // namespace tidemill
