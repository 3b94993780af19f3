// The laws of operators/accumulator.h, for every accumulator of the library.
#include <algorithm>
#include <gtest/gtest.h>
#include <limits>
#include <optional>
#include <random>
#include <rapidcheck/gtest.h>
#include <string>
#include <vector>

#include "operators/aggregates.h"
#include "operators/collections.h"
#include "operators/combined.h"
#include "operators/sketches.h"
#include "state/codec.h"

namespace tidemill {
namespace {

struct Order {
  double price = 0;
  std::string item;
};

template <class V>
struct Event {
  V value;
  Stamp stamp;
};

template <class V>
V any_value() {
  if constexpr (std::floating_point<V>) {
    return *rc::gen::oneOf(
        rc::gen::map(rc::gen::inRange(-5000, 5000), [](int n) { return n / 7.0; }),
        rc::gen::element(1e200, -1e200, 0.1, 1e-200, 0.0, -0.0));
  } else if constexpr (std::integral<V>) {
    return *rc::gen::oneOf(rc::gen::inRange<V>(-5, 5), rc::gen::arbitrary<V>());
  } else if constexpr (std::same_as<V, std::string>) {
    return *rc::gen::map(rc::gen::inRange(0, 40),
                         [](int n) { return "value " + std::to_string(n); });
  } else {
    return Order{any_value<double>(), any_value<std::string>()};
  }
}

// Records with different stamps, in a random order of arrival.
template <class V>
std::vector<Event<V>> any_events() {
  std::vector<Event<V>> events(static_cast<std::size_t>(*rc::gen::inRange(0, 60)));
  std::int64_t offset = 0;
  for (Event<V>& e : events)
    e = {any_value<V>(),
         {{*rc::gen::inRange<std::int64_t>(-20, 20)}, {*rc::gen::inRange(0, 3), offset++}}};
  return events;
}

template <class A, class V>
A all_of(const std::vector<Event<V>>& events) {
  A accumulator;
  for (const Event<V>& e : events) add_to(accumulator, e.value, e.stamp);
  return accumulator;
}

template <class A, class V>
void merging_is_adding() {
  auto events = any_events<V>();
  const A expected = all_of<A>(events);
  // Any split of any order, merged in any order.
  std::shuffle(events.begin(), events.end(), std::mt19937(*rc::gen::arbitrary<unsigned>()));
  std::vector<A> parts(static_cast<std::size_t>(*rc::gen::inRange(1, 6)));
  for (const auto& e : events)
    add_to(parts[*rc::gen::inRange<std::size_t>(0, parts.size())], e.value, e.stamp);
  A merged;
  while (!parts.empty()) {
    const auto next = parts.begin() + *rc::gen::inRange<std::ptrdiff_t>(
                                          0, static_cast<std::ptrdiff_t>(parts.size()));
    merged.merge(*next);
    parts.erase(next);
  }
  RC_ASSERT(merged == expected);
  RC_ASSERT(result_of(merged) == result_of(expected));
}

template <class A, class V>
void subtracting_undoes_merging() {
  const A left = all_of<A>(any_events<V>());
  const A right = all_of<A>(any_events<V>());
  A both = left;
  both.merge(right);
  both.subtract(right);
  RC_ASSERT(both == left);
  RC_ASSERT(result_of(both) == result_of(left));
}

template <class A, class V>
void evicting_undoes_merging_the_oldest() {
  auto events = any_events<V>();
  const A expected_all = all_of<A>(events);
  std::sort(events.begin(), events.end(),
            [](const auto& a, const auto& b) { return a.stamp < b.stamp; });
  const auto cut = events.begin() + *rc::gen::inRange<std::ptrdiff_t>(
                                        0, static_cast<std::ptrdiff_t>(events.size()) + 1);
  const A oldest = all_of<A>(std::vector<Event<V>>(events.begin(), cut));
  const A rest = all_of<A>(std::vector<Event<V>>(cut, events.end()));
  A total = expected_all;
  evict_from(total, oldest);
  RC_ASSERT(result_of(total) == result_of(rest));
}

template <class A, class V>
void comes_back_from_its_bytes() {
  const A accumulator = all_of<A>(any_events<V>());
  Bytes bytes;
  encode(bytes, accumulator);
  const A back = decode<A>(bytes);
  RC_ASSERT(back == accumulator);
  RC_ASSERT(result_of(back) == result_of(accumulator));
}

template <class A_, class V_>
struct Case {
  using A = A_;
  using V = V_;
};

using Spend =
    Combined<Count, Of<&Order::price, Sum<double>>, Of<&Order::item, Distinct<std::string>>,
             Of<&Order::item, Last<std::string>>>;

using Dearest = ArgMax<Order, &Order::price, &Order::item>;
using Cheapest = ArgMin<Order, &Order::price, &Order::item>;

template <class C>
class AccumulatorLaws : public testing::Test {};

using Cases = testing::Types<
    Case<Count, std::string>, Case<Sum<std::int64_t>, std::int64_t>,
    Case<Sum<std::int32_t>, std::int32_t>, Case<Sum<double>, double>, Case<Mean<double>, double>,
    Case<Mean<std::int64_t>, std::int64_t>, Case<Variance<double>, double>,
    Case<Variance<std::int32_t>, std::int32_t>, Case<Min<double>, double>,
    Case<Max<double>, double>, Case<Min<std::string>, std::string>,
    Case<Max<std::int64_t>, std::int64_t>, Case<First<std::string>, std::string>,
    Case<Last<std::string>, std::string>, Case<Last<double>, double>,
    Case<Distinct<std::string>, std::string>, Case<Distinct<std::int32_t>, std::int32_t>,
    Case<Collect<std::string>, std::string>, Case<Collect<std::int64_t, 5>, std::int64_t>,
    Case<TopN<std::int64_t, 4>, std::int64_t>, Case<TopN<double, 3>, double>, Case<Spend, Order>,
    Case<Dearest, Order>, Case<Cheapest, Order>, Case<DistinctApprox<std::string>, std::string>,
    Case<DistinctApprox<double>, double>, Case<Quantiles<double, 0, 500, 990, 1000>, double>,
    Case<Quantiles<std::int64_t, 250>, std::int64_t>>;
TYPED_TEST_SUITE(AccumulatorLaws, Cases);

TYPED_TEST(AccumulatorLaws, Hold) {
  using A = typename TypeParam::A;
  using V = typename TypeParam::V;
  static_assert(Accumulator<A, V>);
  EXPECT_TRUE(rc::check("merge", merging_is_adding<A, V>));
  if constexpr (Subtractable<A>) {
    EXPECT_TRUE(rc::check("subtract", subtracting_undoes_merging<A, V>));
  }
  if constexpr (Evictable<A>) {
    EXPECT_TRUE(rc::check("evict", evicting_undoes_merging_the_oldest<A, V>));
  }
  EXPECT_TRUE(rc::check("codec", comes_back_from_its_bytes<A, V>));
}

TEST(AggregatesTest, ResultsOfNothing) {
  EXPECT_EQ(Count{}.result(), 0);
  EXPECT_EQ(Sum<double>{}.result(), 0.0);
  EXPECT_EQ(Mean<double>{}.result(), std::nullopt);
  EXPECT_EQ(Variance<double>{}.result(), std::nullopt);
  EXPECT_EQ(Max<int>{}.result(), std::nullopt);
  EXPECT_EQ(First<int>{}.result(), std::nullopt);
  EXPECT_EQ(Distinct<int>{}.result(), 0);
}

TEST(AggregatesTest, IntegerSumsSaturateAndComeBack) {
  Sum<std::int64_t> sum;
  const auto most = std::numeric_limits<std::int64_t>::max();
  sum.add(most);
  sum.add(most);
  EXPECT_EQ(sum.result(), most);
  Sum<std::int64_t> one;
  one.add(most);
  sum.subtract(one);
  sum.add(-5);
  EXPECT_EQ(sum.result(), most - 5);
}

TEST(AggregatesTest, VarianceDoesNotCancel) {
  Variance<double> v;
  for (const double x : {1e9 + 0.25, 1e9 - 0.25, 1e9 + 0.25, 1e9 - 0.25}) v.add(x);
  EXPECT_EQ(v.result(), 0.0625);
}

TEST(AggregatesTest, LastOfEqualStampsIsTheLaterToArrive) {
  Last<int> last;
  First<int> first;
  const Stamp at{{7}};
  for (const int v : {1, 2, 3}) {
    last.add(v, at);
    first.add(v, at);
  }
  EXPECT_EQ(last.result(), 3);
  EXPECT_EQ(first.result(), 1);
}

TEST(AggregatesTest, NanIsNeitherLeastNorGreatest) {
  Min<double> min;
  Max<double> max;
  for (const double v : {std::numeric_limits<double>::quiet_NaN(), 2.0,
                         std::numeric_limits<double>::quiet_NaN(), 1.0}) {
    min.add(v);
    max.add(v);
  }
  EXPECT_EQ(min.result(), 1.0);
  EXPECT_EQ(max.result(), 2.0);
}

TEST(AggregatesTest, TheEarliestOfTheGreatest) {
  Dearest dearest;
  Cheapest cheapest;
  dearest.add({2, "late"}, {{5}});
  dearest.add({2, "early"}, {{3}});
  dearest.add({1, "cheap"}, {{1}});
  cheapest.add({2, "dear"}, {{1}});
  cheapest.add({-1, "first"}, {{7}});
  cheapest.add({-1, "second"}, {{7}});
  EXPECT_EQ(dearest.result(), "early");
  EXPECT_EQ(cheapest.result(), "first");
}

TEST(SketchesTest, DistinctIsWithinThreeStandardErrors) {
  for (const std::int64_t n : {0, 1, 10, 1000, 1024, 1025, 5000, 20'000, 60'000, 300'000}) {
    DistinctApprox<std::int64_t> sketch;
    for (std::int64_t i = 0; i < n; ++i) {
      sketch.add(i * 7919);
      if (i % 3 == 0) sketch.add(i * 7919);
    }
    const double error = n <= 1024 ? 0.0005 : 3 * 0.0081;
    EXPECT_NEAR(static_cast<double>(sketch.result()), static_cast<double>(n),
                error * static_cast<double>(n) + 0.5);
  }
}

TEST(SketchesTest, DistinctOfManyIsTheSameInAnySplit) {
  DistinctApprox<std::int64_t> whole;
  DistinctApprox<std::int64_t> even;
  DistinctApprox<std::int64_t> odd;
  DistinctApprox<std::int64_t> few;
  for (std::int64_t i = 0; i < 5000; ++i) {
    whole.add(i);
    (i < 200 ? few : i % 2 == 0 ? even : odd).add(i);
  }
  few.merge(even);
  odd.merge(few);
  EXPECT_EQ(odd, whole);
  EXPECT_GT(whole.registers.size(), 0U);
  EXPECT_EQ(whole.few.size(), 0U);
}

TEST(SketchesTest, QuantilesAreWithinOnePercent) {
  std::mt19937 random(7);
  std::lognormal_distribution<double> sizes(3, 4);
  std::vector<double> values;
  Quantiles<double, 0, 10, 250, 500, 900, 990, 999, 1000> sketch;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(i % 5 == 0 ? -sizes(random) : i % 77 == 0 ? 0.0 : sizes(random));
    sketch.add(values.back());
  }
  std::sort(values.begin(), values.end());
  const auto found = sketch.result();
  std::size_t i = 0;
  for (const double q : {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const double exact = values[static_cast<std::size_t>(q * 19'999)];
    EXPECT_NEAR(*found[i++], exact, std::abs(exact) * 0.0101) << q;
  }
}

TEST(SketchesTest, QuantilesOfNothingAndOfTheExtremes) {
  Quantiles<double, 500> sketch;
  EXPECT_EQ(sketch.result()[0], std::nullopt);
  sketch.add(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(sketch.result()[0], std::nullopt);
  sketch.add(std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(sketch.result()[0], 0.0);
  sketch = {};
  sketch.add(std::numeric_limits<double>::infinity());
  EXPECT_GT(*sketch.result()[0], 1.7e308);
}

}  // namespace
}  // namespace tidemill
