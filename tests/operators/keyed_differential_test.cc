// Operators that scenario files have no kind for against naive models, at random: sorting, the
// states of process functions with a time to live, running aggregates, and two inputs over shared
// state. Every script is run with a restart between every two steps or none, and with firings that
// yield after each row.
#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "operators/aggregates.h"
#include "operators/combined.h"
#include "operators/event_time_sort.h"
#include "operators/function_state.h"
#include "operators/process_function.h"
#include "operators/running_aggregate.h"
#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using testing::HarnessOptions;
using testing::OperatorHarness;

constexpr int kSeeds = 200;

enum class Do { kSet, kRead, kClear };
struct Event {
  int key = 0;
  int value = 0;
  Do what = Do::kSet;
};
BOOST_DESCRIBE_ENUM(Do, kSet, kRead, kClear)
BOOST_DESCRIBE_STRUCT(Event, (), (key, value, what))
using KeyOf = int Event::*;
using Rows = std::vector<std::string>;

std::string at(const std::string& row, EventTime time) {
  return row + "@" + std::to_string(time.ms);
}
std::string text(int key, int value) { return std::to_string(key) + "=" + std::to_string(value); }

class Random {
 public:
  explicit Random(int seed) : engine_(static_cast<std::uint32_t>(seed)) {}
  // In [from, to).
  int in(int from, int to) {
    return from + static_cast<int>(engine_() % static_cast<std::uint32_t>(to - from));
  }
  bool one_in(int n) { return in(0, n) == 0; }
  Duration duration(int from, int to) { return Duration(in(from, to)); }
  HarnessOptions harness() {
    HarnessOptions options;
    options.backend = one_in(32) ? "rocksdb" : "memory";
    options.restarts = one_in(3);
    options.parallelism = in(1, 4);
    options.key_groups = 8;
    return options;
  }
  std::vector<Record<Event>> records(std::int64_t around) {
    std::vector<Record<Event>> batch(static_cast<std::size_t>(in(1, 8)));
    for (Record<Event>& r : batch) {
      r.value = {in(0, 4), ++number_, one_in(3) ? Do::kRead : one_in(6) ? Do::kClear : Do::kSet};
      r.time = {around + in(-12, 15)};
    }
    return batch;
  }

 private:
  std::mt19937 engine_;
  int number_ = 0;
};

void push(OperatorHarness& h, const std::vector<Record<Event>>& records, int input = 0) {
  Batch<Event> batch;
  for (const Record<Event>& r : records)
    batch.append_hashed(r.value, r.time, key_hash(r.value.key));
  h.push(std::move(batch), input);
}

// Random steps for the operator and its model. `read` gives the operator's rows since it was last
// asked. A firing may be left unfinished when a batch comes: rows are compared one watermark later
// then, since it may let go what the batch has brought too late.
template <class Model, class Read>
void compare(Random& random, OperatorHarness& h, Model& model, Read read, int inputs = 1) {
  std::int64_t watermark = random.in(-20, 5);
  Rows wanted;
  Rows got;
  const auto agree = [&] {
    for (std::string& row : read(h)) got.push_back(std::move(row));
    std::sort(wanted.begin(), wanted.end());
    std::sort(got.begin(), got.end());
    ASSERT_EQ(got, wanted);
    wanted.clear();
    got.clear();
  };
  const auto advance_to = [&](std::int64_t to) {
    if (to == watermark) return;
    watermark = to;
    model.watermark({watermark}, wanted);
    h.begin_watermark({watermark});
  };
  const int steps = random.in(3, 14);
  for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
    const int what = random.in(0, 12);
    if (what < 6) {
      const auto records = random.records(watermark);
      const int input = random.in(0, inputs);
      model.batch(records, input, wanted);
      push(h, records, input);
    } else if (what < 9) {
      advance_to(watermark + random.in(0, 15));
      if (random.one_in(2)) continue;
    } else if (what < 11) {
      const Duration by = random.duration(1, 9);
      // Ticks are no part of a firing that waits.
      h.finish_watermark();
      model.advance(by, wanted);
      h.advance(by);
    } else {
      h.restart(random.in(1, 4));
    }
    if (h.finish_watermark()) {
      advance_to(watermark + 1);
      h.finish_watermark();
    }
    agree();
  }
  model.watermark(EventTime::max(), wanted);
  h.end();
  agree();
}

// Late, else given out once passed, by time and of one time and key in the order of coming.
struct SortModel {
  void batch(const std::vector<Record<Event>>& records, int, Rows& rows) {
    for (const Record<Event>& r : records) {
      if (r.time < now) {
        rows.push_back(at("late " + text(r.value.key, r.value.value), r.time));
      } else {
        waiting.push_back(r);
      }
    }
  }
  void watermark(EventTime to, Rows& rows) {
    now = to;
    std::vector<Record<Event>> left;
    std::stable_sort(waiting.begin(), waiting.end(),
                     [](const auto& a, const auto& b) { return a.time < b.time; });
    for (const Record<Event>& r : waiting) {
      if (r.time >= to) {
        left.push_back(r);
        continue;
      }
      rows.push_back(
          at(std::to_string(given[r.value.key]++) + ". of " + text(r.value.key, r.value.value),
             r.time));
    }
    waiting = left;
  }
  void advance(Duration, Rows&) {}

  EventTime now = EventTime::min();
  std::vector<Record<Event>> waiting;
  std::map<int, int> given;  // rows of a key so far: their order counts
};

TEST(KeyedDifferential, SortByEventTime) {
  for (int seed = 0; seed < kSeeds && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const std::size_t budget = random.one_in(2) ? 1 : 100;
    OperatorHarness h(
        [budget](OperatorContext& ctx) {
          return std::make_unique<EventTimeSort<Event, KeyOf>>(ctx, &Event::key, budget);
        },
        random.harness());
    SortModel model;
    std::map<int, int> given;
    compare(random, h, model, [&](OperatorHarness& harness) {
      Rows rows;
      for (const auto& r : harness.drain<Event>()) {
        rows.push_back(
            at(std::to_string(given[r.value.key]++) + ". of " + text(r.value.key, r.value.value),
               r.time));
      }
      for (const auto& r : harness.drain<Event>(1))
        rows.push_back(at("late " + text(r.value.key, r.value.value), r.time));
      return rows;
    });
  }
}

// All kinds of state, each with the same time to live; a read shows them, and what expires is told.
struct AllKinds {
  using Out = std::string;
  using Context = ProcessContext<int, std::string>;

  AllKinds(StateContext<int>& state, const std::optional<Ttl>& ttl)
      : out(state.main_output<Out>()),
        value(state, "value", ttl, [this](int key, int& v, EventTime end) { gone(key, v, end); }),
        list(state, "list", ttl,
             [this](int key, std::vector<int>& all, EventTime end) {
               gone(key, static_cast<int>(all.size()), end);
             }),
        map(state, "map", ttl,
            [this](const auto& entry, int& v, EventTime end) { gone(entry.key, v, end); }),
        greatest(
            state, "greatest", [](int a, int b) { return std::max(a, b); }, ttl,
            [this](int key, int& v, EventTime end) { gone(key, v, end); }),
        total(state, "total", ttl, [this](int key, auto& sum, EventTime end) {
          gone(key, static_cast<int>(result_of(sum)), end);
        }) {}

  void process(const Event& event, Context& ctx) {
    const int item = event.value % 3;
    if (event.what == Do::kSet) {
      value.set(event.value);
      list.append(event.value);
      map.at(item) += event.value;
      greatest.add(event.value % 10);
      total.add(event.value);
    } else if (event.what == Do::kClear) {
      if (item == 0) value.clear();
      if (item == 1) list.clear();
      map.erase(item);
      if (item == 2) greatest.clear();
      if (item == 2) total.clear();
    } else {
      show(ctx);
    }
  }
  // The second input of the one with two: reads without a record of its own.
  void process_left(const Event& event, Context& ctx) { process(event, ctx); }
  void process_right(const Event& /*event*/, Context& ctx) { show(ctx); }

  void show(Context& ctx) {
    std::string row = std::to_string(ctx.key()) + ":";
    if (const int* v = value.find()) row += " v" + std::to_string(*v);
    if (const auto* all = list.find()) {
      for (const int v : *all) row += " l" + std::to_string(v);
    }
    map.for_each([&](int item, int v) { row += " m" + text(item, v); });
    if (const int* v = greatest.find()) row += " g" + std::to_string(*v);
    row += " t" + std::to_string(total.result());
    ctx.emit(row);
  }
  void gone(int key, int v, EventTime end) { out.emit("gone " + text(key, v), end); }

  Emitter<std::string>& out;
  ValueState<int, int> value;
  ListState<int, int> list;
  MapState<int, int, int> map;
  ReducingState<int, int, int (*)(int, int)> greatest;
  AggregatingState<int, Sum<int>> total;
};

struct AllKindsModel {
  // What one state has, and when that ends.
  struct Kept {
    std::vector<int> values;
    EventTime end = EventTime::max();
  };
  struct Place {
    int key;
    std::string kind;
    int item = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
  };

  void batch(const std::vector<Record<Event>>& records, int input, Rows& rows) {
    for (const Record<Event>& r : records) {
      time = r.time;
      const auto& [key, value, what] = r.value;
      if (input == 1 || what == Do::kRead) {
        rows.push_back(at(show(key), r.time));
      } else if (what == Do::kSet) {
        write({key, "value"}, rows).values = {value};
        write({key, "list"}, rows).values.push_back(value);
        write({key, "map", value % 3}, rows).values.push_back(value);
        // What is reduced is read first.
        write({key, "greatest"}, rows).values.push_back(value % 10);
        write({key, "total"}, rows).values.push_back(value);
      } else {
        const int item = value % 3;
        if (item == 0) clear({key, "value"}, rows);
        if (item == 1) clear({key, "list"}, rows);
        clear({key, "map", item}, rows);
        if (item == 2) clear({key, "greatest"}, rows);
        if (item == 2) clear({key, "total"}, rows);
      }
    }
  }
  void watermark(EventTime to, Rows& rows) {
    now = to;
    if (ttl && ttl->clock == TimeDomain::kEvent) let_go(rows);
  }
  void advance(Duration by, Rows& rows) {
    clock = clock + by;
    if (ttl && ttl->clock == TimeDomain::kProcessing) let_go(rows);
  }

  [[nodiscard]] bool is_over(const Kept& kept) const {
    if (!ttl) return false;
    return ttl->clock == TimeDomain::kEvent ? now > kept.end : clock >= kept.end;
  }
  void touch(Kept& kept) const {
    if (!ttl) return;
    const EventTime end = (ttl->clock == TimeDomain::kEvent ? time : clock) + ttl->after;
    kept.end = kept.end == EventTime::max() ? end : std::max(kept.end, end);
  }
  Kept& write(const Place& place, Rows& rows) {
    if (const auto it = all.find(place); it != all.end() && is_over(it->second)) tell(it, rows);
    Kept& kept = all[place];
    touch(kept);
    return kept;
  }
  void clear(const Place& place, Rows& rows) {
    const auto it = all.find(place);
    if (it == all.end()) return;
    is_over(it->second) ? tell(it, rows) : static_cast<void>(all.erase(it));
  }
  // Null: nothing is seen there.
  const std::vector<int>* read(const Place& place) {
    const auto it = all.find(place);
    if (it == all.end() || is_over(it->second)) return nullptr;
    if (ttl && ttl->refresh_on_read) touch(it->second);
    return &it->second.values;
  }
  static int sum(const std::vector<int>& values) {
    int total = 0;
    for (const int v : values) total += v;
    return total;
  }
  std::string show(int key) {
    std::string row = std::to_string(key) + ":";
    if (const auto* v = read({key, "value"})) row += " v" + std::to_string(v->front());
    if (const auto* list = read({key, "list"})) {
      for (const int v : *list) row += " l" + std::to_string(v);
    }
    for (int item = 0; item < 3; ++item) {
      if (const auto* v = read({key, "map", item})) row += " m" + text(item, sum(*v));
    }
    if (const auto* v = read({key, "greatest"}))
      row += " g" + std::to_string(*std::max_element(v->begin(), v->end()));
    const auto* total = read({key, "total"});
    return row + " t" + std::to_string(total == nullptr ? 0 : sum(*total));
  }
  void tell(std::map<Place, Kept>::iterator it, Rows& rows) {
    const auto& [place, kept] = *it;
    int shown = sum(kept.values);
    if (place.kind == "list") shown = static_cast<int>(kept.values.size());
    if (place.kind == "greatest") shown = *std::max_element(kept.values.begin(), kept.values.end());
    rows.push_back(at("gone " + text(place.key, shown), kept.end));
    all.erase(it);
  }
  void let_go(Rows& rows) {
    for (auto it = all.begin(); it != all.end();) {
      const auto each = it++;
      if (is_over(each->second)) tell(each, rows);
    }
  }

  std::optional<Ttl> ttl;
  EventTime now = EventTime::min();
  EventTime clock{};
  EventTime time{};
  std::map<Place, Kept> all;
};

std::optional<Ttl> any_ttl(Random& random) {
  if (random.one_in(4)) return std::nullopt;
  return Ttl{random.duration(1, 20),
             random.one_in(3) ? TimeDomain::kProcessing : TimeDomain::kEvent, random.one_in(3)};
}
Rows texts(OperatorHarness& h) {
  Rows rows;
  for (const auto& r : h.drain<std::string>()) rows.push_back(at(r.value, r.time));
  return rows;
}

TEST(KeyedDifferential, StatesOfProcessFunctions) {
  for (int seed = 0; seed < kSeeds && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    AllKindsModel model;
    model.ttl = any_ttl(random);
    const ProcessOptions options{.firing_budget = random.one_in(2) ? 1U : 1000U};
    OperatorHarness h(
        [&](OperatorContext& ctx) {
          return std::make_unique<KeyedProcess<AllKinds, Event, KeyOf>>(ctx, options, &Event::key,
                                                                        model.ttl);
        },
        random.harness());
    compare(random, h, model, texts);
  }
}

TEST(KeyedDifferential, TwoInputsOverSharedStates) {
  for (int seed = 0; seed < kSeeds && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    AllKindsModel model;
    model.ttl = any_ttl(random);
    const ProcessOptions options{.firing_budget = random.one_in(2) ? 1U : 1000U};
    OperatorHarness h(
        [&](OperatorContext& ctx) {
          return std::make_unique<KeyedCoProcess<AllKinds, Event, Event, KeyOf, KeyOf>>(
              ctx, options, &Event::key, &Event::key, model.ttl);
        },
        random.harness());
    compare(random, h, model, texts, 2);
  }
}

struct RunningModel {
  struct Kept {
    std::vector<int> values;
    EventTime greatest = EventTime::min();
    std::optional<EventTime> due;
    bool has_row = false;
  };
  void batch(const std::vector<Record<Event>>& records, int, Rows& rows) {
    std::map<int, bool> touched;
    for (const Record<Event>& r : records) {
      Kept& kept = all[r.value.key];
      if (is_over(kept)) kept = {};
      kept.values.push_back(r.value.value);
      kept.greatest = std::max(kept.greatest, r.time);
      touched[r.value.key] = true;
      if (!options.every || kept.due) continue;
      const EventTime from = now == EventTime::min() ? r.time : now;
      kept.due = floor_to(from, *options.every) + *options.every;
    }
    if (options.every) return;
    for (const auto& [key, _] : touched) give_out(key, rows);
  }
  void watermark(EventTime to, Rows& rows) {
    now = to;
    for (auto& [key, kept] : all) {
      if (kept.due && *kept.due <= now) give_out(key, rows);
    }
  }
  void advance(Duration, Rows&) {}

  [[nodiscard]] bool is_over(const Kept& kept) const {
    return options.ttl && !kept.values.empty() && !kept.due && now > kept.greatest + *options.ttl;
  }
  void give_out(int key, Rows& rows) {
    Kept& kept = all[key];
    int total = 0;
    for (const int v : kept.values) total += v;
    rows.push_back(at((kept.has_row ? "~" : "+") + text(key, total), kept.greatest));
    kept.has_row = true;
    kept.due.reset();
  }

  RunningOptions options;
  EventTime now = EventTime::min();
  std::map<int, Kept> all;
};

TEST(KeyedDifferential, RunningAggregates) {
  using Total = Of<&Event::value, Sum<int>>;
  for (int seed = 0; seed < kSeeds && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    RunningModel model;
    if (random.one_in(2)) model.options.every = random.duration(1, 12);
    if (!random.one_in(3)) model.options.ttl = random.duration(1, 20);
    model.options.firing_budget = random.one_in(2) ? 1 : 1000;
    OperatorHarness h(
        [&](OperatorContext& ctx) {
          return std::make_unique<RunningAggregate<Event, Total, KeyOf>>(ctx, model.options,
                                                                         &Event::key);
        },
        random.harness());
    compare(random, h, model, [](OperatorHarness& harness) {
      Rows rows;
      for (const auto& r : harness.drain<Change<Keyed<int, std::int64_t>>>()) {
        const std::string kind = r.value.kind == ChangeKind::kInsert ? "+" : "~";
        rows.push_back(
            at(kind + text(r.value.row.key, static_cast<int>(r.value.row.value)), r.time));
      }
      return rows;
    });
  }
}

}  // namespace
}  // namespace tidemill
