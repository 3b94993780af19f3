// The states of process functions: kinds, expiry in both clocks, operator state that is split.
#include "operators/function_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "operators/aggregates.h"
#include "operators/process_function.h"
#include "state/operator_state.h"
#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::OperatorHarness;
using ::testing::UnorderedElementsAre;

enum class Do { kSet, kRead, kClear };
struct Command {
  std::string key;
  Do what = Do::kRead;
  int value = 0;
  std::string item{};
};
struct KeyOf {
  const std::string& operator()(const Command& c) const { return c.key; }
};
using Context = ProcessContext<std::string, std::string>;

template <class F, class... Args>
OperatorHarness::Make make(Args... args) {
  return [=](OperatorContext& ctx) {
    return std::make_unique<KeyedProcess<F, Command, KeyOf>>(
        ctx, ProcessOptions{.firing_budget = 1}, KeyOf{}, args...);
  };
}
std::vector<std::string> rows(OperatorHarness& h) {
  std::vector<std::string> all;
  for (const Record<std::string>& r : h.drain<std::string>())
    all.push_back(r.value + "@" + std::to_string(r.time.ms));
  return all;
}

// Every kind at once; a read shows all of them.
struct Kinds {
  using Out = std::string;
  explicit Kinds(StateContext<std::string>& state)
      : list(state, "list"),
        map(state, "map"),
        greatest(state, "greatest", [](int a, int b) { return std::max(a, b); }),
        mean(state, "mean"),
        last(state, "last") {}
  void process(const Command& c, Context& ctx) {
    if (c.what == Do::kSet) {
      list.append(c.value);
      map.at(c.item) += c.value;
      greatest.add(c.value);
      mean.add(c.value);
      last.add(c.value);
    } else if (c.what == Do::kClear) {
      list.clear();
      c.item.empty() ? map.clear() : static_cast<void>(map.erase(c.item));
      greatest.clear();
      mean.clear();
    } else {
      std::string text = ctx.key() + ":";
      if (const auto* all = list.find()) {
        for (const int v : *all) text += std::to_string(v) + ",";
      }
      map.for_each([&](const std::string& item, int v) { text += item + std::to_string(v); });
      if (greatest.find() != nullptr) text += ",max" + std::to_string(*greatest.find());
      if (mean.result()) text += ",mean" + std::to_string(static_cast<int>(*mean.result()));
      if (last.result()) text += ",last" + std::to_string(*last.result());
      ctx.emit(text);
    }
  }
  ListState<std::string, int> list;
  MapState<std::string, std::string, int> map;
  ReducingState<std::string, int, int (*)(int, int)> greatest;
  AggregatingState<std::string, Mean<int>> mean;
  AggregatingState<std::string, Last<int>> last;
};

TEST(FunctionState, OfEachKindSeesTheKeyInProgress) {
  OperatorHarness::run(make<Kinds>(), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Command>({{{"a", Do::kSet, 4, "y"}, {9}}, {{"b", Do::kSet, 7, "x"}, {1}}});
    h.push<Command>({{{"a", Do::kSet, 2, "x"}, {3}}, {{"a", Do::kSet, 6, "y"}, {4}}});
    h.push<Command>({{{"a"}, {5}}, {{"b"}, {5}}, {{"c"}, {5}}});
    EXPECT_THAT(rows(h), ElementsAre("a:4,2,6,x2y10,max6,mean4,last4@5",
                                     "b:7,x7,max7,mean7,last7@5", "c:@5"));
    h.push<Command>({{{"a", Do::kClear, 0, "y"}, {6}}, {{"b", Do::kClear}, {6}}});
    h.push<Command>({{{"a"}, {7}}, {{"b"}, {7}}});
    EXPECT_THAT(rows(h), ElementsAre("a:x2,last4@7", "b:,last7@7"));
  });
}

struct Numbers {
  using Out = std::string;
  explicit Numbers(StateContext<std::string>& state) : map(state, "map") {}
  void process(const Command& c, Context& ctx) {
    if (c.what == Do::kSet) map.set(c.value, c.value);
    if (c.what == Do::kClear) map.erase(c.value);
    if (c.what != Do::kRead) return;
    map.for_each([&](int item, int) { ctx.emit(ctx.key(), EventTime{item}); });
  }
  MapState<std::string, int, int> map;
};

TEST(FunctionState, AMapIsInOrderWhateverIsInMemory) {
  for (const std::uint32_t groups : {1U, 100U, 128U}) {
    OperatorHarness h(make<Numbers>(),
                      {.backend = "rocksdb", .restarts = true, .key_groups = groups});
    std::mt19937 random(groups);
    std::map<std::string, std::map<int, int>> expected;
    for (int b = 0; b < 6; ++b) {
      Batch<Command> batch;
      for (int i = 0; i < 200; ++i) {
        const std::string key(1, static_cast<char>('a' + random() % 9));
        const int value = static_cast<int>(random() % 100) - 50;
        const bool clears = random() % 3 == 0;
        batch.append({key, clears ? Do::kClear : Do::kSet, value}, {1});
        clears ? static_cast<void>(expected[key].erase(value))
               : static_cast<void>(expected[key].emplace(value, value));
      }
      h.push(std::move(batch));
    }
    for (const auto& [key, map] : expected) {
      h.push<Command>({{{key}, {1}}});
      std::vector<int> got;
      for (const auto& r : h.drain<std::string>()) got.push_back(static_cast<int>(r.time.ms));
      std::vector<int> wanted;
      for (const auto& [item, _] : map) wanted.push_back(item);
      EXPECT_EQ(got, wanted);
    }
  }
}

// A value and a map with a time to live; says what expires.
struct Mortal {
  using Out = std::string;
  Mortal(StateContext<std::string>& state, std::optional<Ttl> ttl)
      : out(state.main_output<Out>()),
        value(state, "value", ttl,
              [this](const std::string& key, int& v, EventTime at) {
                out.emit("gone " + key + std::to_string(v), at);
              }),
        map(state, "map", ttl, [this](const auto& entry, int& v, EventTime at) {
          out.emit("gone " + entry.key + "/" + entry.item + std::to_string(v), at);
        }) {}
  void process(const Command& c, Context& ctx) {
    if (c.item.empty()) {
      if (c.what == Do::kSet) value.value() += c.value;
      if (c.what == Do::kClear) value.clear();
      if (c.what == Do::kRead) show(ctx);
    } else {
      if (c.what == Do::kSet) map.at(c.item) += c.value;
      if (c.what == Do::kClear) map.erase(c.item);
    }
  }
  void on_timer(const FiredTimer& /*timer*/, Context& ctx) { show(ctx); }
  void show(Context& ctx) {
    std::string text = ctx.key() + "=" + (value.find() ? std::to_string(*value.find()) : "-");
    map.for_each([&](const std::string& item, int v) { text += item + std::to_string(v); });
    ctx.emit(text);
  }
  Emitter<std::string>& out;
  ValueState<std::string, int> value;
  MapState<std::string, std::string, int> map;
};

TEST(FunctionState, ExpiresInEventTime) {
  OperatorHarness::run(make<Mortal>(Ttl{.after = 10ms}), [](OperatorHarness& h) {
    SCOPED_TRACE(h.mode());
    h.push<Command>({{{"a", Do::kSet, 1}, {5}}, {{"a", Do::kSet, 2, "x"}, {7}}});
    h.push<Command>({{{"a", Do::kSet, 3, "y"}, {9}}, {{"b", Do::kSet, 4}, {5}}});
    h.push<Command>({{{"a", Do::kSet, 1}, {8}}, {{"b", Do::kClear}, {9}}});  // until 18
    h.watermark({17});
    h.push<Command>({{{"a"}, {17}}});
    EXPECT_THAT(rows(h), ElementsAre("a=2x2y3@17"));
    h.watermark({18});
    EXPECT_THAT(rows(h), ElementsAre("gone a/x2@17"));
    h.push<Command>({{{"a", Do::kSet, 1}, {4}}});  // an older record shortens nothing
    h.watermark({19});
    EXPECT_THAT(rows(h), ElementsAre("gone a3@18"));
    h.push<Command>({{{"a"}, {19}}, {{"a", Do::kSet, 5}, {19}}, {{"a"}, {19}}});
    EXPECT_THAT(rows(h), ElementsAre("a=-y3@19", "a=5y3@19"));
    h.end();
    EXPECT_THAT(rows(h), UnorderedElementsAre("gone a/y3@19", "gone a5@29"));
  });
}

TEST(FunctionState, ExpiresByTheClockAlsoBeforeItIsLetGo) {
  OperatorHarness::run(
      make<Mortal>(Ttl{.after = 10ms, .clock = TimeDomain::kProcessing, .refresh_on_read = true}),
      [](OperatorHarness& h) {
        SCOPED_TRACE(h.mode());
        h.push<Command>({{{"a", Do::kSet, 1}, {5}}, {{"b", Do::kSet, 2}, {5}}});
        h.advance(9ms);
        h.push<Command>({{{"a"}, {5}}});  // a read refreshes
        EXPECT_THAT(rows(h), ElementsAre("a=1@5"));
        h.advance(1ms);
        EXPECT_THAT(rows(h), ElementsAre("gone b2@10"));
        h.watermark({1000});
        h.advance(9ms);
        EXPECT_THAT(rows(h), ElementsAre("gone a1@19"));
        h.push<Command>({{{"a", Do::kSet, 7}, {5}}, {{"a"}, {5}}});
        EXPECT_THAT(rows(h), ElementsAre("a=7@5"));
        h.end();
        EXPECT_THAT(rows(h), IsEmpty());
      });
}

TEST(FunctionState, TimeToLiveMayBeGivenAndTakenAway) {
  std::optional<Ttl> ttl;
  const OperatorHarness::Make op = [&ttl](OperatorContext& ctx) {
    return std::make_unique<KeyedProcess<Mortal, Command, KeyOf>>(ctx, ProcessOptions{}, KeyOf{},
                                                                  ttl);
  };
  OperatorHarness h(op, {.backend = "rocksdb"});
  h.push<Command>({{{"a", Do::kSet, 1}, {0}}, {{"b", Do::kSet, 2}, {0}}});
  ttl = Ttl{.after = 10ms};
  h.restart();
  h.push<Command>(
      {{{"b", Do::kSet, 2}, {5}}, {{"c", Do::kSet, 3}, {5}}, {{"d", Do::kSet, 4}, {5}}});
  ttl = std::nullopt;
  h.restart();
  EXPECT_THAT(h.unused_states(), IsEmpty());
  h.push<Command>({{{"c", Do::kSet, 3}, {6}}});
  h.watermark({12});
  EXPECT_THAT(rows(h), IsEmpty());
  ttl = Ttl{.after = 10ms};
  h.restart();
  h.watermark({100});
  // Written last with one: b and d. Without: a and c have no end.
  EXPECT_THAT(rows(h), UnorderedElementsAre("gone b4@15", "gone d4@15"));
  h.push<Command>({{{"a"}, {100}}, {{"c"}, {100}}});
  EXPECT_THAT(rows(h), ElementsAre("a=1@100", "c=6@100"));
  ttl = Ttl{.after = 0ms};
  EXPECT_THROW(h.restart(), Error);
}

struct Pieces final : public OneInput<int> {
  explicit Pieces(OperatorContext& ctx) : list(ctx, "list"), out(ctx.output<int>(0)) {}
  void process(Batch<int>& batch) override {
    for (const Record<int>& r : batch) list->push_back(r.value);
  }
  Progress on_watermark(EventTime) override {
    out.emit(static_cast<int>(list->size()), {});
    return Progress::kDone;
  }
  OperatorList<int> list;
  Emitter<int>& out;
};

TEST(OperatorList, IsSplitEvenlyOverTheSubtasks) {
  OperatorHarness h([](OperatorContext& ctx) { return std::make_unique<Pieces>(ctx); },
                    {.backend = "memory", .parallelism = 1});
  h.push<int>({{1, {}}, {2, {}}, {3, {}}, {4, {}}, {5, {}}});
  const auto sizes = [&](int parallelism, std::int64_t watermark) {
    h.restart(parallelism);
    h.watermark({watermark});
    std::vector<int> all;
    for (const auto& r : h.drain<int>()) all.push_back(r.value);
    return all;
  };
  EXPECT_THAT(sizes(2, 1), ElementsAre(3, 2));
  EXPECT_THAT(sizes(3, 2), ElementsAre(2, 2, 1));
  EXPECT_THAT(sizes(1, 3), ElementsAre(5));
}

}  // namespace
}  // namespace tidemill
