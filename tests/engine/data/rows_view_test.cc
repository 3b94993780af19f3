#include "engine/data/rows_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/data/emitter.h"
#include "engine/operator/context.h"
#include "engine/runtime/stage.h"
#include "operators/stateless.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Click {
  int number = 0;
  EventTime at;
  int visits = 0;
};

std::vector<Click> clicks(int count) {
  std::vector<Click> all;
  for (int i = 0; i < count; ++i) all.push_back({i, EventTime{100 + i}, 1});
  return all;
}

RowsView<Click> view_of(const std::vector<Click>& rows, bool has_more = false) {
  return {std::span(rows), &Click::at, has_more};
}

// Takes views or does not, and remembers what came, and where it lay.
template <class T>
class Recorder final : public Outlet {
 public:
  explicit Recorder(bool takes_views) : takes_views_(takes_views) {}

  void push(AnyBatch any) override {
    auto& batch = static_cast<Batch<T>&>(*any);
    sizes.push_back(batch.size());
    for (const Record<T>& record : batch) note(record.value, record.time);
    batches.push_back(std::move(any));
  }
  [[nodiscard]] bool takes_views() const override { return takes_views_; }
  void push(const AnyView& rows) override {
    ++views;
    for (const auto& row : static_cast<const RowsView<T>&>(rows)) note(row.value, row.time);
  }
  void push(const Signal&) override {}
  [[nodiscard]] bool is_blocked() const override { return false; }

  std::vector<const T*> seen;
  std::vector<std::int64_t> times;
  std::vector<std::size_t> sizes;  // of batches
  std::vector<AnyBatch> batches;   // kept, so that no other lies where they lay
  int views = 0;

 private:
  void note(const T& value, EventTime time) {
    seen.push_back(&value);
    times.push_back(time.ms);
  }
  const bool takes_views_;
};

TEST(RowsViewTest, HasValuesAndTimesOfRowsAndOfBatches) {
  const auto rows = clicks(3);
  const RowsView<Click> view = view_of(rows);
  std::vector<int> numbers;
  for (const auto& row : view) {
    numbers.push_back(row.value.number);
    EXPECT_EQ(row.time, row.value.at);
  }
  EXPECT_THAT(numbers, ElementsAre(0, 1, 2));
  EXPECT_EQ(view.last_time(), EventTime{102});

  Batch<std::string> batch;
  batch.append("a", {7});
  batch.append("b", {5});
  std::vector<std::pair<std::string, std::int64_t>> seen;
  for (const auto& row : RowsView<std::string>(batch)) seen.emplace_back(row.value, row.time.ms);
  EXPECT_THAT(seen, ElementsAre(std::pair("a", 7), std::pair("b", 5)));
  EXPECT_EQ(RowsView<std::string>(batch).last_time(), EventTime{5});

  EXPECT_EQ(view_of({}).last_time(), EventTime::min());
  EXPECT_TRUE(RowsView<Click>(Batch<Click>()).begin() == RowsView<Click>(Batch<Click>()).end());
}

TEST(RowsViewTest, WhoTakesViewsIsShownTheRowsBehindWhatWasEmittedBefore) {
  Recorder<Click> reader(true);
  Recorder<Click> other_reader(true);
  Emitter<Click> out;
  out.connect(reader);
  out.connect(other_reader);
  const auto rows = clicks(300);
  out.emit(Click{-1, {1}, 0}, {1});
  out.emit(view_of(rows));
  ASSERT_EQ(reader.seen.size(), 301U);
  EXPECT_EQ(reader.times.front(), 1);
  EXPECT_EQ(reader.seen[1], &rows[0]);
  EXPECT_EQ(reader.seen[300], &rows[299]);
  EXPECT_EQ(other_reader.seen[300], &rows[299]);
  EXPECT_EQ(out.emitted(), 301U);
}

TEST(RowsViewTest, RowsAreCopiedIntoBatchesWhereNotAllTakeViews) {
  Recorder<Click> reader(true);
  Recorder<Click> keeper(false);
  Emitter<Click> out;
  out.connect(reader);
  out.connect(keeper);
  const auto rows = clicks(static_cast<int>(kBatchRows<Click>) + 10);
  out.emit(view_of(rows));
  out.flush();
  EXPECT_THAT(keeper.sizes, ElementsAre(kBatchRows<Click>, 10U));
  EXPECT_EQ(keeper.times.back(), rows.back().at.ms);
  EXPECT_EQ(keeper.seen.back()->number, rows.back().number);
  EXPECT_EQ(out.emitted(), rows.size());
  EXPECT_EQ(reader.seen.size(), rows.size());
}

TEST(RowsViewTest, RowsThatNobodyReadsAreDropped) {
  Emitter<Click> out;
  out.emit(view_of(clicks(5)));
  EXPECT_EQ(out.dropped(), 5U);
  EXPECT_EQ(out.emitted(), 0U);
}

// Of rows that cannot be copied too: one consumer keeps them, the others read.
TEST(RowsViewTest, WhoTakesViewsIsShownTheBatchThatAnotherIsGiven) {
  using Owned = std::unique_ptr<int>;
  Recorder<Owned> reader(true);
  Recorder<Owned> keeper(false);
  Emitter<Owned> out;
  out.connect(reader);
  out.connect(keeper);
  out.emit(std::make_unique<int>(5), {1});
  out.emit(std::make_unique<int>(6), {2});
  out.flush();
  EXPECT_EQ(reader.views, 1);
  ASSERT_EQ(keeper.seen.size(), 2U);
  EXPECT_EQ(reader.seen, keeper.seen);
  EXPECT_THAT(reader.times, ElementsAre(1, 2));
}

// A stage around one operator, and what comes out of it.
class ViewStageTest : public ::testing::Test {
 protected:
  template <class Op, class F>
  Stage& make(F f) {
    auto context = std::make_unique<OperatorContext>(OperatorContext::Place{.name = "op"},
                                                     resources_, metrics_, clock_, nullptr);
    stage_.emplace(std::move(context),
                   [f](OperatorContext& ctx) { return std::make_unique<Op>(ctx, f); });
    stage_->context().ports()[0]->connect(*out());
    return *stage_;
  }
  virtual Outlet* out() = 0;

  Resources resources_;
  MetricRegistry metrics_;
  SystemClock clock_;
  std::optional<Stage> stage_;
};

class FilterViewTest : public ViewStageTest {
 protected:
  Outlet* out() override { return &kept_; }
  Recorder<Click> kept_{false};
};

TEST_F(FilterViewTest, KeepsCopiesOfWhatPassesUntilTheLastView) {
  const auto is_odd = [](const Click& c) { return c.number % 2 != 0; };
  Stage& stage = make<FilterOperator<Click, decltype(is_odd)>>(is_odd);
  const auto inlet = stage.make_inlet(0, 0, 1);
  ASSERT_TRUE(inlet->takes_views());
  const auto rows = clicks(6);
  inlet->push(view_of(rows, true));
  EXPECT_THAT(kept_.sizes, IsEmpty());
  inlet->push(view_of(rows));
  EXPECT_THAT(kept_.sizes, ElementsAre(6U));
  EXPECT_THAT(kept_.times, ElementsAre(101, 103, 105, 101, 103, 105));
  EXPECT_EQ(kept_.seen[1]->number, 3);
  EXPECT_EQ(rows[3].number, 3);
}

class MapViewTest : public ViewStageTest {
 protected:
  Outlet* out() override { return &made_; }
  Recorder<int> made_{false};
};

TEST_F(MapViewTest, MapsRowsWhereTheyLie) {
  Stage& stage = make<MapOperator<Click, int, int Click::*>>(&Click::number);
  const auto first = stage.make_inlet(0, 0, 2);
  const auto second = stage.make_inlet(0, 1, 2);
  ASSERT_TRUE(first->takes_views());
  first->push(view_of(clicks(2)));
  second->push(view_of(clicks(1)));
  EXPECT_THAT(made_.sizes, ElementsAre(2U, 1U));
  EXPECT_THAT(made_.times, ElementsAre(100, 101, 100));
  EXPECT_EQ(*made_.seen[1], 1);
}

TEST_F(MapViewTest, FlatMapGivesAnyNumberForRowsWhereTheyLie) {
  const auto twice = [](const Click& c, auto emit) {
    for (int i = 0; i < 2 * c.number; ++i) emit(c.number);
  };
  make<FlatMapOperator<Click, int, decltype(twice)>>(twice).on_view(0, view_of(clicks(3)));
  EXPECT_THAT(made_.times, ElementsAre(101, 101, 102, 102, 102, 102));
}

TEST_F(MapViewTest, AnErrorInAViewNamesTheOperator) {
  const auto fail = [](const Click&) -> int { throw std::runtime_error("no"); };
  Stage& stage = make<MapOperator<Click, int, decltype(fail)>>(fail);
  try {
    stage.on_view(0, view_of(clicks(1)));
    FAIL() << "did not throw";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), ::testing::HasSubstr("operator op/0"));
  }
}

}  // namespace
}  // namespace tidemill
