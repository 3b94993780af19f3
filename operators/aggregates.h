// The accumulators of numbers and of single records: Count, Sum, Mean, Min, Max, Variance, First,
// Last, ArgMin, ArgMax. Those that answer nearly are in sketches.h; those of many values are in
// collections.h, several in one in combined.h. All of them keep the laws of accumulator.h exactly:
// no result depends on the order in which records were added or slices merged.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include <boost/describe.hpp>

#include "operators/accumulator.h"
#include "operators/exact_sum.h"

namespace tidemill {

template <class T>
concept Number = std::is_arithmetic_v<T> && !std::same_as<T, bool>;

// Number of records.
struct Count {
  std::int64_t n = 0;

  void add(const auto& /*value*/) { ++n; }
  void merge(const Count& other) { n += other.n; }
  void subtract(const Count& other) { n -= other.n; }
  [[nodiscard]] std::int64_t result() const { return n; }
  friend bool operator==(const Count&, const Count&) = default;
  BOOST_DESCRIBE_CLASS(Count, (), (n), (), ())
};

// A sum of integers, exact within 128 bits.
struct IntegerTotal {
  std::uint64_t low = 0;
  std::int64_t high = 0;

  void add(std::int64_t x) { set(total() + x); }
  void merge(const IntegerTotal& other) { set(total() + other.total()); }
  void subtract(const IntegerTotal& other) { set(total() - other.total()); }
  [[nodiscard]] double value() const { return static_cast<double>(total()); }
  [[nodiscard]] __int128 total() const {
    return static_cast<__int128>(
        (static_cast<unsigned __int128>(static_cast<std::uint64_t>(high)) << 64) | low);
  }
  friend bool operator==(const IntegerTotal&, const IntegerTotal&) = default;
  BOOST_DESCRIBE_CLASS(IntegerTotal, (), (low, high), (), ())

 private:
  void set(__int128 sum) {
    low = static_cast<std::uint64_t>(sum);
    high = static_cast<std::int64_t>(sum >> 64);
  }
};

// Sums of T without rounding: integers (signed, up to 64 bits) in 128 bits, floating point in an
// ExactSum.
template <Number T>
using TotalOf = std::conditional_t<std::integral<T>, IntegerTotal, ExactSum>;

// The sum; 0 of nothing. Integers: int64, the nearest one where the sum is beyond. Floating point:
// the double nearest to the exact sum.
template <Number T>
struct Sum {
  TotalOf<T> total;

  void add(T value) { total.add(value); }
  void merge(const Sum& other) { total.merge(other.total); }
  void subtract(const Sum& other) { total.subtract(other.total); }
  [[nodiscard]] auto result() const {
    if constexpr (std::integral<T>) {
      using Limits = std::numeric_limits<std::int64_t>;
      const __int128 sum = total.total();
      return sum > Limits::max()   ? Limits::max()
             : sum < Limits::min() ? Limits::min()
                                   : static_cast<std::int64_t>(sum);
    } else {
      return total.value();
    }
  }
  friend bool operator==(const Sum&, const Sum&) = default;
  BOOST_DESCRIBE_CLASS(Sum, (), (total), (), ())
};

// The exact sum as a double, divided by the count; none of nothing.
template <Number T>
struct Mean {
  std::int64_t n = 0;
  TotalOf<T> total;

  void add(T value) {
    ++n;
    total.add(value);
  }
  void merge(const Mean& other) {
    n += other.n;
    total.merge(other.total);
  }
  void subtract(const Mean& other) {
    n -= other.n;
    total.subtract(other.total);
  }
  [[nodiscard]] std::optional<double> result() const {
    if (n == 0) return std::nullopt;
    return total.value() / static_cast<double>(n);
  }
  friend bool operator==(const Mean&, const Mean&) = default;
  BOOST_DESCRIBE_CLASS(Mean, (), (n, total), (), ())
};

// The variance of the population, from exact sums: no cancellation. Integers beyond 2^53 are taken
// as doubles. None of nothing.
template <Number T>
struct Variance {
  std::int64_t n = 0;
  ExactSum sum;
  ExactSum squares;

  void add(T value) {
    ++n;
    sum.add(static_cast<double>(value));
    squares.add_square(static_cast<double>(value));
  }
  void merge(const Variance& other) {
    n += other.n;
    sum.merge(other.sum);
    squares.merge(other.squares);
  }
  void subtract(const Variance& other) {
    n -= other.n;
    sum.subtract(other.sum);
    squares.subtract(other.squares);
  }
  // (n * squares - sum * sum) / n^2
  [[nodiscard]] std::optional<double> result() const {
    if (n == 0) return std::nullopt;
    if (!sum.is_finite()) return std::numeric_limits<double>::quiet_NaN();
    ExactSum count;
    count.add_integer(n);
    ExactSum scaled = squares.times(count);
    scaled.subtract(sum.times(sum));
    return scaled.value() / static_cast<double>(n) / static_cast<double>(n);
  }
  friend bool operator==(const Variance&, const Variance&) = default;
  BOOST_DESCRIBE_CLASS(Variance, (), (n, sum, squares), (), ())
};

// A total order where there is one: of floating point, -0.0 is less than 0.0. (NaN compares with
// nothing: Min and Max leave it out.)
template <class T>
constexpr bool strictly_less(const T& a, const T& b) {
  if constexpr (std::floating_point<T>) {
    return a < b || (a == b && std::signbit(a) && !std::signbit(b));
  } else {
    return a < b;
  }
}
template <class T>
constexpr bool is_nan(const T& value) {
  if constexpr (std::floating_point<T>) {
    return std::isnan(value);
  } else {
    return false;
  }
}

// The least value by `<`; none of nothing.
template <class T>
struct Min {
  static constexpr bool kIsBounded = true;
  std::optional<T> least;

  void add(const T& value) {
    if (!is_nan(value) && (!least || strictly_less(value, *least))) least = value;
  }
  void merge(const Min& other) {
    if (other.least) add(*other.least);
  }
  [[nodiscard]] const std::optional<T>& result() const { return least; }
  friend bool operator==(const Min&, const Min&) = default;
  BOOST_DESCRIBE_CLASS(Min, (), (least), (), ())
};

// The greatest value by `<`; none of nothing.
template <class T>
struct Max {
  static constexpr bool kIsBounded = true;
  std::optional<T> greatest;

  void add(const T& value) {
    if (!is_nan(value) && (!greatest || strictly_less(*greatest, value))) greatest = value;
  }
  void merge(const Max& other) {
    if (other.greatest) add(*other.greatest);
  }
  [[nodiscard]] const std::optional<T>& result() const { return greatest; }
  friend bool operator==(const Max&, const Max&) = default;
  BOOST_DESCRIBE_CLASS(Max, (), (greatest), (), ())
};

// The value of the earliest record: the first to arrive of those of the smallest time.
template <class T>
struct First {
  static constexpr bool kIsBounded = true;
  std::optional<T> value;
  std::int64_t time = 0;
  std::int32_t partition = 0;
  std::int64_t offset = 0;

  void add(const T& v, const Stamp& at) {
    if (!value || at < stamp()) set(v, at);
  }
  void merge(const First& other) {
    if (other.value && (!value || other.stamp() < stamp())) set(*other.value, other.stamp());
  }
  [[nodiscard]] Stamp stamp() const { return {{time}, {partition, offset}}; }
  [[nodiscard]] const std::optional<T>& result() const { return value; }
  friend bool operator==(const First&, const First&) = default;
  BOOST_DESCRIBE_CLASS(First, (), (value, time, partition, offset), (), ())

 private:
  void set(const T& v, const Stamp& at) {
    value = v;
    time = at.time.ms;
    partition = at.order.partition;
    offset = at.order.offset;
  }
};

// The value of the latest record: the last to arrive of those of the greatest time.
template <class T>
struct Last {
  std::optional<T> value;
  std::int64_t time = 0;
  std::int32_t partition = 0;
  std::int64_t offset = 0;

  void add(const T& v, const Stamp& at) {
    if (!value || stamp() <= at) set(v, at);
  }
  void merge(const Last& other) {
    if (other.value && (!value || stamp() <= other.stamp())) set(*other.value, other.stamp());
  }
  // If the oldest records held the latest one, there were no others.
  void evict(const Last& oldest) {
    if (oldest.value && value && stamp() <= oldest.stamp()) *this = {};
  }
  [[nodiscard]] Stamp stamp() const { return {{time}, {partition, offset}}; }
  [[nodiscard]] EventTime event_time() const { return {time}; }
  [[nodiscard]] const std::optional<T>& result() const { return value; }
  friend bool operator==(const Last&, const Last&) = default;
  BOOST_DESCRIBE_CLASS(Last, (), (value, time, partition, offset), (), ())

 private:
  void set(const T& v, const Stamp& at) {
    value = v;
    time = at.time.ms;
    partition = at.order.partition;
    offset = at.order.offset;
  }
};

// What the record with the greatest (ArgMax) or least (ArgMin) By has as What; of several the
// earliest, ties by arrival. By and What: member pointers or anything std::invoke takes of a V.
template <class V, auto By, auto What, bool kGreatest>
struct ArgBest {
  static constexpr bool kIsBounded = true;
  using Key = std::decay_t<std::invoke_result_t<decltype(By), const V&>>;
  using Value = std::decay_t<std::invoke_result_t<decltype(What), const V&>>;

  std::optional<Key> by;
  First<Value> what;

  void add(const V& record, const Stamp& at) {
    const auto& key = std::invoke(By, record);
    if (!is_nan(key) && take(key)) what.add(std::invoke(What, record), at);
  }
  void merge(const ArgBest& other) {
    if (other.by && take(*other.by)) what.merge(other.what);
  }
  [[nodiscard]] const std::optional<Value>& result() const { return what.value; }
  friend bool operator==(const ArgBest&, const ArgBest&) = default;
  BOOST_DESCRIBE_CLASS(ArgBest, (), (by, what), (), ())

 private:
  // False if a better one is known; forgets worse ones.
  bool take(const Key& key) {
    const auto is_better = [](const Key& a, const Key& b) {
      return kGreatest ? strictly_less(b, a) : strictly_less(a, b);
    };
    if (by && is_better(*by, key)) return false;
    if (!by || is_better(key, *by)) {
      by = key;
      what = {};
    }
    return true;
  }
};
template <class V, auto By, auto What>
using ArgMax = ArgBest<V, By, What, true>;
template <class V, auto By, auto What>
using ArgMin = ArgBest<V, By, What, false>;

}  // namespace tidemill
