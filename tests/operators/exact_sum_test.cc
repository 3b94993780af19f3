#include "operators/exact_sum.h"

#include <bit>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <rapidcheck/gtest.h>
#include <utility>
#include <vector>

#include <boost/multiprecision/cpp_int.hpp>

#include "state/codec.h"

namespace tidemill {
namespace {

using boost::multiprecision::cpp_int;
using Limits = std::numeric_limits<double>;

// Units of 2^-1076: two bits below the smallest double, so that halves of it are whole.
cpp_int units_of(double x) {
  if (x == 0) return 0;
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  const auto mantissa = static_cast<std::int64_t>(std::ldexp(fraction, 53));
  const int shift = exponent - 53 + 1076;
  return shift >= 0 ? cpp_int(mantissa) << shift : cpp_int(mantissa) / (cpp_int(1) << -shift);
}

// Whether `x` is the double nearest to `exact`, ties to even.
bool is_nearest(double x, const cpp_int& exact) {
  if (std::isinf(x)) {
    const cpp_int beyond = units_of(Limits::max()) + (cpp_int(1) << (1023 - 53 + 1076));
    return x > 0 ? exact >= beyond : exact <= -beyond;
  }
  const cpp_int error = abs(exact - units_of(x));
  for (const double other :
       {std::nextafter(x, Limits::infinity()), std::nextafter(x, -Limits::infinity())}) {
    if (std::isinf(other)) continue;
    const cpp_int its = abs(exact - units_of(other));
    if (its < error) return false;
    if (its == error && (std::bit_cast<std::uint64_t>(x) & 1) != 0) return false;
  }
  return true;
}

rc::Gen<double> any_finite() {
  return rc::gen::oneOf(
      rc::gen::map(rc::gen::suchThat(
                       rc::gen::arbitrary<std::uint64_t>(),
                       [](std::uint64_t b) { return std::isfinite(std::bit_cast<double>(b)); }),
                   [](std::uint64_t b) { return std::bit_cast<double>(b); }),
      rc::gen::map(rc::gen::inRange<std::int64_t>(-1000000, 1000000),
                   [](std::int64_t n) { return static_cast<double>(n) / 1000.0; }),
      rc::gen::element(0.0, -0.0, 1.0, -1.0, 0.1, 1e308, -1e308, Limits::denorm_min(),
                       -Limits::denorm_min(), Limits::max(), Limits::lowest()));
}

RC_GTEST_PROP(ExactSumTest, is_the_nearest_double_of_the_exact_sum, ()) {
  const auto values = *rc::gen::container<std::vector<double>>(any_finite());
  ExactSum sum;
  cpp_int exact = 0;
  for (const double v : values) {
    sum.add(v);
    exact += units_of(v);
  }
  RC_ASSERT(is_nearest(sum.value(), exact));
}

RC_GTEST_PROP(ExactSumTest, of_few_digits_is_the_nearest_too,
              (const std::vector<std::int16_t>& values)) {
  ExactSum sum;
  cpp_int exact = 0;
  for (const std::int16_t v : values) {
    const double x = std::ldexp(static_cast<double>(v), v % 70);
    sum.add(x);
    exact += units_of(x);
  }
  RC_ASSERT(is_nearest(sum.value(), exact));
}

// Numbers on both sides of what 128 bits hold, and sums that cross it and come back.
RC_GTEST_PROP(ExactSumTest, is_the_same_in_128_bits_and_beyond, ()) {
  const auto parts = *rc::gen::container<std::vector<std::pair<std::int16_t, int>>>(
      rc::gen::pair(rc::gen::arbitrary<std::int16_t>(), rc::gen::inRange(-76, 46)));
  ExactSum plain;
  ExactSum crossed;
  cpp_int exact = 0;
  crossed.add(1e300);
  for (const auto& [mantissa, exponent] : parts) {
    const double x = std::ldexp(static_cast<double>(mantissa), exponent);
    ExactSum one;
    one.add(x);
    plain.add(x);
    crossed.merge(one);
    exact += units_of(x);
  }
  crossed.subtract(1e300);
  RC_ASSERT(is_nearest(plain.value(), exact));
  RC_ASSERT(crossed == plain);
  RC_ASSERT(crossed.value() == plain.value());
  Bytes bytes;
  Bytes same;
  encode(bytes, plain);
  encode(same, crossed);
  RC_ASSERT(bytes == same);
  const auto back = decode<ExactSum>(bytes);
  RC_ASSERT(back == plain);
  RC_ASSERT((back.heap_bytes() == 0) == (crossed.heap_bytes() == 0));
}

RC_GTEST_PROP(ExactSumTest, subtract_and_merge_are_exact_in_any_order, ()) {
  const auto a = *rc::gen::container<std::vector<double>>(any_finite());
  const auto b = *rc::gen::container<std::vector<double>>(any_finite());
  ExactSum left;
  ExactSum right;
  ExactSum all;
  for (const double v : a) left.add(v);
  for (const double v : b) right.add(v);
  for (const double v : b) all.add(v);
  for (const double v : a) all.add(v);
  ExactSum merged = left;
  merged.merge(right);
  RC_ASSERT(merged == all);
  RC_ASSERT(merged.value() == all.value());
  merged.subtract(right);
  RC_ASSERT(merged == left);
  for (const double v : a) merged.subtract(v);
  RC_ASSERT(merged.is_zero());
  RC_ASSERT(merged.value() == 0.0);
}

RC_GTEST_PROP(ExactSumTest, comes_back_from_its_bytes, ()) {
  const auto values = *rc::gen::container<std::vector<double>>(rc::gen::oneOf(
      any_finite(),
      rc::gen::element(Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN())));
  ExactSum sum;
  for (const double v : values) sum.add(v);
  Bytes bytes;
  encode(bytes, sum);
  RC_ASSERT(decode<ExactSum>(bytes) == sum);
}

RC_GTEST_PROP(ExactSumTest, damaged_bytes_never_crash, (const std::string& bytes)) {
  ByteReader in(bytes);
  try {
    const ExactSum sum = ExactSum::decode(in);
    (void)sum.value();
  } catch (const Error& e) {
    RC_ASSERT(e.code() == ErrorCode::kCorrupt);
  }
}

RC_GTEST_PROP(ExactSumTest, times_is_the_product, ()) {
  const auto a = *rc::gen::container<std::vector<std::int64_t>>(rc::gen::arbitrary<std::int64_t>());
  const auto b = *rc::gen::container<std::vector<std::int64_t>>(rc::gen::arbitrary<std::int64_t>());
  ExactSum left;
  ExactSum right;
  cpp_int exact_left = 0;
  cpp_int exact_right = 0;
  for (const std::int64_t v : a) {
    left.add_integer(v);
    exact_left += v;
  }
  for (const std::int64_t v : b) {
    right.add_integer(v);
    exact_right += v;
  }
  RC_ASSERT(is_nearest(left.times(right).value(), (exact_left * exact_right) << 1076));
}

RC_GTEST_PROP(ExactSumTest, squares_are_exact, ()) {
  const double x = *any_finite();
  ExactSum by_square;
  by_square.add_square(x);
  ExactSum plain;
  plain.add(x);
  RC_ASSERT(by_square == plain.times(plain));
}

TEST(ExactSumTest, Cancels) {
  ExactSum sum;
  for (const double v : {1e300, 1.0, -1e300}) sum.add(v);
  EXPECT_EQ(sum.value(), 1.0);
  sum.add(1e-300);
  EXPECT_EQ(sum.value(), 1.0);
  sum.subtract(1.0);
  EXPECT_EQ(sum.value(), 1e-300);
}

TEST(ExactSumTest, InfinitiesAndNansCanBeTakenBack) {
  ExactSum sum;
  sum.add(2.5);
  sum.add(Limits::infinity());
  EXPECT_EQ(sum.value(), Limits::infinity());
  sum.add(-Limits::infinity());
  EXPECT_TRUE(std::isnan(sum.value()));
  sum.subtract(Limits::infinity());
  EXPECT_EQ(sum.value(), -Limits::infinity());
  sum.subtract(-Limits::infinity());
  EXPECT_EQ(sum.value(), 2.5);
}

TEST(ExactSumTest, OrdinaryNumbersTakeFewBytes) {
  ExactSum sum;
  sum.add(3.5);
  Bytes bytes;
  encode(bytes, sum);
  EXPECT_EQ(bytes.size(), 4U);
  for (int i = 0; i < 1000; ++i) sum.add(19.99);
  EXPECT_EQ(sum.heap_bytes(), 0U);
  EXPECT_EQ(sizeof(ExactSum), 24U);
}

TEST(ExactSumTest, SquaresBelowTheLeastDoubleAreHeldButShowAsZero) {
  for (const double x : {1e-163, 1e-200, Limits::denorm_min()}) {
    ExactSum sum;
    sum.add_square(x);
    EXPECT_FALSE(sum.is_zero());
    EXPECT_EQ(sum.value(), 0.0) << x;
  }
}

TEST(ExactSumTest, MergesWithItself) {
  ExactSum sum;
  sum.add(-7.25);
  sum.merge(sum);
  EXPECT_EQ(sum.value(), -14.5);
  sum.subtract(sum);
  EXPECT_TRUE(sum.is_zero());
}

}  // namespace
}  // namespace tidemill
