#include "operators/stateless.h"

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "testing/operator_harness.h"

namespace tidemill {
namespace {

using testing::OperatorHarness;

struct Click {
  std::string page;
  int count = 0;
};

TEST(StatelessTest, MapGivesOneForEach) {
  OperatorHarness::run(
      [](OperatorContext& ctx) {
        return std::make_unique<MapOperator<Click, std::string, std::string Click::*>>(
            ctx, &Click::page);
      },
      [](OperatorHarness& h) {
        SCOPED_TRACE(h.mode());
        h.push<Click>({{{"a", 1}, {10}}, {{"b", 2}, {20}}});
        const auto rows = h.drain<std::string>();
        ASSERT_EQ(rows.size(), 2U);
        EXPECT_EQ(rows[1].value, "b");
        EXPECT_EQ(rows[1].time, EventTime{20});
      });
}

// What hands batches on must not copy them, or could not have such rows.
static_assert(std::is_nothrow_move_constructible_v<Batch<std::unique_ptr<int>>>);

TEST(StatelessTest, RowsOfABatchThatIsMovedStayWhereTheyAre) {
  Batch<std::string> batch;
  batch.append(std::string(100, 'x'), {1});
  const Record<std::string>* const row = &batch[0];
  const Batch<std::string> moved(std::move(batch));
  EXPECT_EQ(&moved[0], row);
}

TEST(StatelessTest, FilterKeepsOrderTimesAndHashes) {
  const auto is_odd = [](const int& n) { return n % 2 != 0; };
  OperatorHarness::run(
      [&](OperatorContext& ctx) {
        return std::make_unique<FilterOperator<int, decltype(is_odd)>>(ctx, is_odd);
      },
      [](OperatorHarness& h) {
        SCOPED_TRACE(h.mode());
        h.push<int>({{1, {1}}, {2, {2}}, {3, {3}}});
        h.push<int>({{4, {4}}});
        const auto rows = h.drain<int>();
        ASSERT_EQ(rows.size(), 2U);
        EXPECT_EQ(rows[1].value, 3);
        EXPECT_EQ(rows[1].time, EventTime{3});
      });
}

TEST(StatelessTest, FlatMapGivesAnyNumber) {
  const auto repeat = [](const Click& c, auto emit) {
    for (int i = 0; i < c.count; ++i) emit(c.page + std::to_string(i));
  };
  OperatorHarness::run(
      [&](OperatorContext& ctx) {
        return std::make_unique<FlatMapOperator<Click, std::string, decltype(repeat)>>(ctx, repeat);
      },
      [](OperatorHarness& h) {
        SCOPED_TRACE(h.mode());
        h.push<Click>({{{"a", 0}, {1}}, {{"b", 2}, {7}}});
        const auto rows = h.drain<std::string>();
        ASSERT_EQ(rows.size(), 2U);
        EXPECT_EQ(rows[1].value, "b1");
        EXPECT_EQ(rows[1].time, EventTime{7});
      });
}

}  // namespace
}  // namespace tidemill
