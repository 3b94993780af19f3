// The trailing window against its definition (docs/semantics.md 2.1): random windows, options and
// scripts, with restarts, other parallelism and firings that yield after every timer. The oracle
// computes every row from the full list of its key's records.
#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <rapidcheck/gtest.h>
#include <set>
#include <tuple>
#include <vector>

#include "operators/collections.h"
#include "operators/combined.h"
#include "operators/trailing_window.h"
#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using testing::HarnessOptions;
using testing::OperatorHarness;

constexpr std::int64_t kBefore = -1000000;  // before everything in a test

struct Event {
  int key = 0;
  int value = 0;
  TieOrder origin{};
};
using Values = std::vector<int>;

// The same without evict: totals are merged anew.
struct Remerged {
  Collect<int> values;
  void add(int value, const Stamp& stamp) { values.add(value, stamp); }
  void merge(const Remerged& other) { values.merge(other.values); }
  [[nodiscard]] Values result() const { return values.result(); }
  BOOST_DESCRIBE_CLASS(Remerged, (), (values), (), ())
};

// All values, or the greatest only, so that a result may stay as it was.
struct Shown {
  bool only_greatest = false;
  template <class A>
  Values operator()(const A& contents) const {
    return of(contents.result());
  }
  [[nodiscard]] Values of(Values values) const {
    if (only_greatest && !values.empty()) return {*std::max_element(values.begin(), values.end())};
    return values;
  }
};

struct Settings {
  std::vector<Trailing> windows;
  TrailingOptions options;
  Shown shown;
};

// key, instant, is_delete, content of each window.
using Row = std::tuple<int, std::int64_t, bool, std::vector<Values>>;

class Oracle {
 public:
  explicit Oracle(const Settings& settings)
      : s_(settings), lateness_(s_.options.lateness.count()) {}

  std::vector<Row> batch(const std::vector<Record<Event>>& records) {
    std::vector<Row> rows;
    for (const Record<Event>& r : records) {
      Key& key = keys_[r.value.key];
      key.records.push_back({r.time.ms, r.value.origin, r.value.value});
      if (is_ordered()) continue;
      key.instant = std::max(key.instant, r.time.ms);
      give_out(r.value.key, key.instant, key.records, rows);
    }
    if (!is_ordered()) decay(rows);
    return rows;
  }

  std::vector<Row> watermark(std::int64_t to) {
    std::vector<Row> rows;
    if (to <= watermark_) return rows;
    watermark_ = to;
    if (is_ordered()) {
      take_effect(to - lateness_, false, rows);
    } else {
      decay(rows);
    }
    for (auto it = keys_.begin(); it != keys_.end();) {
      const bool is_forgotten = !is_ordered() && !counts(it->second.records, it->second.instant) &&
                                to - lateness_ > it->second.instant;
      if (is_forgotten) last_.erase(it->first);
      it = is_forgotten ? keys_.erase(it) : std::next(it);
    }
    return rows;
  }

  std::vector<Row> end() {
    std::vector<Row> rows;
    if (is_ordered()) take_effect(watermark_, true, rows);
    return rows;
  }

 private:
  struct Item {
    std::int64_t time;
    TieOrder origin;
    int value;
  };
  struct Key {
    std::vector<Item> records;
    std::int64_t instant = kBefore;  // on record
  };

  [[nodiscard]] bool is_ordered() const { return s_.options.emit != TrailingEmit::kOnRecord; }

  [[nodiscard]] std::int64_t leave(const Item& item, const Trailing& w) const {
    const std::int64_t r = w.resolution.count();
    std::int64_t k = item.time / r - 2;
    while (k * r < item.time) ++k;
    return k * r + w.size.count();
  }
  [[nodiscard]] std::set<std::int64_t> decays(const std::vector<Item>& records) const {
    std::set<std::int64_t> all;
    for (const Item& item : records) {
      for (const Trailing& w : s_.windows) all.insert(leave(item, w));
    }
    return all;
  }
  [[nodiscard]] bool counts(const std::vector<Item>& records, std::int64_t at) const {
    return std::ranges::any_of(records, [&](const Item& item) {
      return std::ranges::any_of(
          s_.windows, [&](const Trailing& w) { return item.time <= at && at < leave(item, w); });
    });
  }

  // The row of an instant; `records` are those that have taken effect, in the order of their
  // arrival.
  Row row(int key, std::int64_t at, std::vector<Item> records) const {
    std::stable_sort(records.begin(), records.end(), [](const Item& a, const Item& b) {
      return std::tie(a.time, a.origin) < std::tie(b.time, b.origin);
    });
    std::vector<Values> contents;
    for (const Trailing& w : s_.windows) {
      Values values;
      for (const Item& item : records) {
        if (item.time <= at && at < leave(item, w)) values.push_back(item.value);
      }
      contents.push_back(s_.shown.of(values));
    }
    return {key, at, s_.options.deletes_empty && !counts(records, at), contents};
  }
  void give_out(int key, std::int64_t at, const std::vector<Item>& records,
                std::vector<Row>& rows) {
    give_out(row(key, at, records), rows);
  }
  void give_out(const Row& row, std::vector<Row>& rows) {
    const auto& [key, at, is_delete, contents] = row;
    const std::pair<bool, std::vector<Values>> shown{is_delete, contents};
    const auto last = last_.find(key);
    if (s_.options.changes_only && last != last_.end() && last->second == shown) return;
    last_[key] = shown;
    rows.push_back(row);
  }

  // On record: decays ahead of a key's last row that the watermark has passed.
  void decay(std::vector<Row>& rows) {
    for (auto& [id, key] : keys_) {
      for (const std::int64_t at : decays(key.records)) {
        if (at <= key.instant || at >= watermark_) continue;
        key.instant = at;
        give_out(id, at, key.records, rows);
      }
    }
  }

  // The others: all rows of a key in the order of their instants, those that are new given out.
  void take_effect(std::int64_t until, bool has_ended, std::vector<Row>& rows) {
    for (auto& [id, key] : keys_) {
      std::vector<Row> all = rows_in_order(id, key.records, until, has_ended);
      if (s_.options.emit == TrailingEmit::kCoalesced) {
        std::map<std::int64_t, Row> last_of_interval;
        for (const Row& r : all) {
          const std::int64_t interval = floor_to(EventTime{std::get<1>(r)}, s_.options.interval).ms;
          if (interval + s_.options.interval.count() <= until || has_ended)
            last_of_interval[interval] = r;
        }
        all.clear();
        for (const auto& [_, r] : last_of_interval) all.push_back(r);
      }
      const std::size_t known = given_out_[id];
      for (std::size_t i = known; i < all.size(); ++i) give_out(all[i], rows);
      given_out_[id] = std::max(known, all.size());
    }
  }
  std::vector<Row> rows_in_order(int id, std::vector<Item> records, std::int64_t until,
                                 bool has_ended) const {
    std::stable_sort(records.begin(), records.end(), [](const Item& a, const Item& b) {
      return std::tie(a.time, a.origin) < std::tie(b.time, b.origin);
    });
    std::vector<Row> rows;
    std::vector<Item> effective;
    std::int64_t now = kBefore;
    const auto decay_before = [&](std::int64_t limit) {
      for (const std::int64_t at : decays(effective)) {
        if (at <= now || at >= limit) continue;
        rows.push_back(row(id, at, effective));
        now = at;
      }
    };
    for (const Item& item : records) {
      if (item.time >= until && !has_ended) break;
      decay_before(item.time + 1);
      effective.push_back(item);
      now = item.time;
      rows.push_back(row(id, now, effective));
    }
    decay_before(until);
    return rows;
  }

  const Settings s_;
  const std::int64_t lateness_;
  std::int64_t watermark_ = kBefore;
  std::map<int, Key> keys_;
  std::map<int, std::size_t> given_out_;
  std::map<int, std::pair<bool, std::vector<Values>>> last_;
};

Settings any_settings() {
  Settings s;
  for (int i = *rc::gen::inRange(1, 4); i > 0; --i)
    s.windows.push_back({Duration(*rc::gen::inRange(1, 40)), Duration(*rc::gen::inRange(1, 9))});
  s.options.emit = *rc::gen::element(TrailingEmit::kOnRecord, TrailingEmit::kOnWatermark,
                                     TrailingEmit::kCoalesced);
  s.options.interval = Duration(*rc::gen::inRange(1, 15));
  s.options.lateness = Duration(*rc::gen::element(0, 0, 3, 20));
  s.options.deletes_empty = *rc::gen::arbitrary<bool>();
  // A forgotten key begins anew, and when the others forget one cannot be told from outside.
  s.options.changes_only =
      s.options.emit == TrailingEmit::kOnRecord && *rc::gen::inRange(0, 3) == 0;
  s.shown.only_greatest = *rc::gen::arbitrary<bool>();
  s.options.firing_budget = *rc::gen::element<std::size_t>(1, 2, 1000);
  return s;
}

template <class A>
void operator_and_oracle_agree() {
  const Settings settings = any_settings();
  const HarnessOptions harness_options{.backend = "memory",
                                       .restarts = *rc::gen::inRange(0, 3) == 0,
                                       .parallelism = *rc::gen::inRange(1, 4),
                                       .key_groups = *rc::gen::element(4U, 16U)};
  using Contents = Of<&Event::value, A>;
  using Operator_ = TrailingWindow<Event, Contents, int Event::*, TieOrder Event::*, Shown>;
  OperatorHarness h(
      [&](OperatorContext& ctx) {
        return std::make_unique<Operator_>(ctx, settings.windows, settings.options, &Event::key,
                                           &Event::origin, settings.shown);
      },
      harness_options);
  Oracle oracle(settings);
  std::int64_t watermark = *rc::gen::inRange(-40, 10);
  const std::int64_t lateness = settings.options.lateness.count();
  std::vector<std::int64_t> offsets(3, 0);
  std::vector<Row> expected;
  std::vector<Row> actual;
  bool is_firing = false;
  const auto compare = [&](std::vector<Row> rows) {
    expected.insert(expected.end(), rows.begin(), rows.end());
    for (const auto& r : h.template drain<TrailingRow<int, Values>>()) {
      RC_ASSERT(r.time == r.value.at);
      actual.push_back({r.value.key,
                        r.time.ms,
                        r.value.is_delete,
                        {r.value.results.begin(), r.value.results.end()}});
    }
    if (is_firing) return;
    std::sort(expected.begin(), expected.end());
    std::sort(actual.begin(), actual.end());
    RC_ASSERT(actual == expected);
  };
  for (int steps = *rc::gen::inRange(1, 20); steps > 0; --steps) {
    const int step = *rc::gen::inRange(0, 10);
    std::vector<Row> rows;
    if (step < 5) {
      std::vector<Record<Event>> records(static_cast<std::size_t>(*rc::gen::inRange(1, 6)));
      Batch<Event> batch;
      for (Record<Event>& r : records) {
        const int partition = *rc::gen::inRange(0, 3);
        r = {{*rc::gen::inRange(0, 3),
              *rc::gen::inRange(0, 9),
              {partition, offsets[static_cast<std::size_t>(partition)]++}},
             {watermark - lateness + *rc::gen::inRange<std::int64_t>(0, 15 + lateness)}};
        batch.append_hashed(r.value, r.time, key_hash(r.value.key));
      }
      rows = oracle.batch(records);
      h.push(std::move(batch));
    } else if (step < 9) {
      watermark += *rc::gen::inRange(0, 30);
      rows = oracle.watermark(watermark);
      is_firing = *rc::gen::arbitrary<bool>();
      if (is_firing) {
        h.begin_watermark({watermark});
      } else {
        h.watermark({watermark});
      }
    } else {
      h.restart(*rc::gen::inRange(1, 4));
    }
    compare(std::move(rows));
  }
  h.finish_watermark();
  is_firing = false;
  compare({});
  h.end();
  compare(oracle.end());
}

TEST(TrailingOracleTest, AgreesWhereTotalsAreEvicted) {
  EXPECT_TRUE(rc::check("any script", operator_and_oracle_agree<Collect<int>>));
}
TEST(TrailingOracleTest, AgreesWhereTotalsAreMergedAnew) {
  EXPECT_TRUE(rc::check("any script", operator_and_oracle_agree<Remerged>));
}

}  // namespace
}  // namespace tidemill
