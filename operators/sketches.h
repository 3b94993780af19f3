// Accumulators that answer nearly, in bounded memory: DistinctApprox (HyperLogLog++) and Quantiles
// (DDSketch). They keep the laws of accumulator.h exactly: what a sketch holds is a function of the
// set of records, so neither order nor split shows in a result.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <boost/describe.hpp>

#include "engine/base/hash.h"
#include "operators/aggregates.h"

namespace tidemill {

// The number of different values, with a standard error of 0.81 %; below some thousand it is
// practically exact. At most 16 KiB, 4 bytes a value while there are few.
//
// HyperLogLog with the 64-bit hash and the sparse form of HyperLogLog++ (Heule, Nunkesser, Hall,
// EDBT 2013, precisions 14 and 25); the estimate is Ertl's ("New cardinality estimation algorithms
// for HyperLogLog sketches", 2017), which needs no table of measured bias.
template <class T>
struct DistinctApprox {
  std::vector<std::uint32_t> few;  // sorted: [25 bits of the hash][6 bits: rank of the rest]
  std::vector<std::uint8_t> registers;

  void add(const T& value) {
    const std::uint64_t hash = hash_of(value);
    if (registers.empty()) {
      const auto rank = rank_of(hash << kFinePrecision, 64 - kFinePrecision);
      add_few(static_cast<std::uint32_t>(hash >> (64 - kFinePrecision)) << kRankBits | rank);
    } else {
      raise(hash >> (64 - kPrecision), rank_of(hash << kPrecision, 64 - kPrecision));
    }
  }
  void merge(const DistinctApprox& other) {
    if (&other == this) return;
    if (other.registers.empty()) {
      for (const std::uint32_t one : other.few) {
        if (registers.empty()) {
          add_few(one);
        } else {
          raise_few(one);
        }
      }
      return;
    }
    if (registers.empty()) make_registers();
    for (std::size_t i = 0; i < kRegisters; ++i) raise(i, other.registers[i]);
  }
  [[nodiscard]] std::int64_t result() const {
    return static_cast<std::int64_t>(
        std::llround(registers.empty() ? estimate_few() : estimate_registers()));
  }
  friend bool operator==(const DistinctApprox&, const DistinctApprox&) = default;
  BOOST_DESCRIBE_CLASS(DistinctApprox, (), (few, registers), (), ())

 private:
  static constexpr int kPrecision = 14;
  static constexpr int kFinePrecision = 25;
  static constexpr int kRankBits = 6;
  static constexpr std::size_t kRegisters = std::size_t{1} << kPrecision;
  static constexpr std::size_t kMostFew = 1024;

  static std::uint64_t hash_of(const T& value) {
    if constexpr (std::floating_point<T>) {
      const auto number = static_cast<double>(value);
      return stable_hash(std::bit_cast<std::uint64_t>(number == 0 ? 0.0 : number));
    } else {
      return stable_hash(value);
    }
  }
  // Of the first one among the highest `bits` bits of `rest`, counted from 1; bits + 1 if none is.
  static std::uint32_t rank_of(std::uint64_t rest, int bits) {
    return static_cast<std::uint32_t>(std::min(std::countl_zero(rest), bits) + 1);
  }

  void add_few(std::uint32_t one) {
    const auto place = std::lower_bound(few.begin(), few.end(), one >> kRankBits << kRankBits);
    if (place != few.end() && *place >> kRankBits == one >> kRankBits) {
      *place = std::max(*place, one);
      return;
    }
    few.insert(place, one);
    if (few.size() > kMostFew) make_registers();
  }
  void make_registers() {
    registers.resize(kRegisters);
    for (const std::uint32_t one : std::exchange(few, {})) raise_few(one);
  }
  void raise_few(std::uint32_t one) {
    constexpr int kBetween = kFinePrecision - kPrecision;
    const std::uint32_t rank = one & ((1U << kRankBits) - 1);
    const std::uint32_t fine = one >> kRankBits;
    const auto between = static_cast<std::uint64_t>(fine) << (64 - kBetween);
    raise(fine >> kBetween, between == 0 ? kBetween + rank : rank_of(between, kBetween));
  }
  void raise(std::size_t i, std::uint32_t rank) {
    registers[i] = std::max(registers[i], static_cast<std::uint8_t>(rank));
  }

  // Linear counting in 2^25 places.
  [[nodiscard]] double estimate_few() const {
    constexpr double kPlaces = 1 << kFinePrecision;
    return kPlaces * std::log(kPlaces / (kPlaces - static_cast<double>(few.size())));
  }
  [[nodiscard]] double estimate_registers() const {
    constexpr int kMost = 64 - kPrecision + 1;
    constexpr auto kAll = static_cast<double>(kRegisters);
    std::array<double, kMost + 1> with_rank{};
    for (const std::uint8_t rank : registers) ++with_rank[std::min<std::size_t>(rank, kMost)];
    double z = kAll * tau(1 - with_rank[kMost] / kAll);
    for (std::size_t k = kMost - 1; k >= 1; --k) z = (z + with_rank[k]) / 2;
    z += kAll * sigma(with_rank[0] / kAll);
    return kAll * kAll / (2 * std::log(2.0) * z);
  }
  static double sigma(double x) {
    if (x == 1) return std::numeric_limits<double>::infinity();
    double y = 1;
    double z = x;
    for (double before = -1; z != before;) {
      before = z;
      x *= x;
      z += x * y;
      y += y;
    }
    return z;
  }
  static double tau(double x) {
    if (x == 0 || x == 1) return 0;
    double y = 1;
    double z = 1 - x;
    for (double before = -1; z != before;) {
      before = z;
      x = std::sqrt(x);
      y /= 2;
      z -= (1 - x) * (1 - x) * y;
    }
    return z / 3;
  }
};

// Quantiles of numbers: for each of PerMille (500: the median) a value within 1 % of the one at
// that place of the sorted records, `floor(q (n - 1))`; none of nothing. NaN is left out. Memory:
// 12 bytes for each percent step that occurs, at most 0.9 MB for numbers of all magnitudes a double
// has.
//
// DDSketch (Masson, Rim, Lee, VLDB 2019) without collapsing buckets.
template <Number T, int... PerMille>
struct Quantiles {
  static_assert(sizeof...(PerMille) > 0 && ((PerMille >= 0 && PerMille <= 1000) && ...));
  static constexpr double kRelativeError = 0.01;
  using Result = std::array<std::optional<double>, sizeof...(PerMille)>;

  // Number of the bucket -> records in it, sorted. Those of negative numbers by their magnitude.
  using Buckets = std::vector<std::pair<std::int32_t, std::int64_t>>;
  Buckets negative;
  std::int64_t zeros = 0;
  Buckets positive;

  void add(T value) {
    if (is_nan(value)) return;
    const auto number = static_cast<double>(value);
    const double size = std::abs(number);
    if (size < kLeast) {
      ++zeros;
    } else {
      add(number < 0 ? negative : positive, bucket_of(size), 1);
    }
  }
  void merge(const Quantiles& other) { add_all(other, 1); }
  void subtract(const Quantiles& other) { add_all(other, -1); }
  [[nodiscard]] Result result() const { return {at(PerMille / 1000.0)...}; }

  // 0 <= q <= 1
  [[nodiscard]] std::optional<double> at(double q) const {
    const std::int64_t n = count_of(negative) + zeros + count_of(positive);
    if (n == 0) return std::nullopt;
    auto left = static_cast<std::int64_t>(std::floor(q * static_cast<double>(n - 1)));
    for (auto b = negative.rbegin(); b != negative.rend(); ++b) {
      if ((left -= b->second) < 0) return -middle_of(b->first);
    }
    if ((left -= zeros) < 0) return 0;
    for (const auto& [bucket, records] : positive) {
      if ((left -= records) < 0) return middle_of(bucket);
    }
    return std::nullopt;  // not reached
  }

  friend bool operator==(const Quantiles&, const Quantiles&) = default;
  BOOST_DESCRIBE_CLASS(Quantiles, (), (negative, zeros, positive), (), ())

 private:
  static constexpr double kGamma = (1 + kRelativeError) / (1 - kRelativeError);
  static constexpr double kLeast = std::numeric_limits<double>::min();  // below: 0

  // The bucket i holds (gamma^(i-1), gamma^i].
  static std::int32_t bucket_of(double size) {
    static const double kStep = std::log(kGamma);
    const double most = std::min(size, std::numeric_limits<double>::max());
    return static_cast<std::int32_t>(std::ceil(std::log(most) / kStep));
  }
  static double middle_of(std::int32_t bucket) {
    return std::pow(kGamma, bucket) * 2 / (kGamma + 1);
  }
  static std::int64_t count_of(const Buckets& buckets) {
    std::int64_t n = 0;
    for (const auto& [_, records] : buckets) n += records;
    return n;
  }
  static void add(Buckets& buckets, std::int32_t bucket, std::int64_t records) {
    const auto place = std::lower_bound(
        buckets.begin(), buckets.end(), bucket,
        [](const auto& entry, std::int32_t wanted) { return entry.first < wanted; });
    if (place == buckets.end() || place->first != bucket) {
      buckets.insert(place, {bucket, records});
    } else if ((place->second += records) == 0) {
      buckets.erase(place);
    }
  }
  void add_all(const Quantiles& other, std::int64_t sign) {
    if (&other == this) {
      add_all(Quantiles(other), sign);
      return;
    }
    for (const auto& [bucket, records] : other.negative) add(negative, bucket, sign * records);
    for (const auto& [bucket, records] : other.positive) add(positive, bucket, sign * records);
    zeros += sign * other.zeros;
  }
};

}  // namespace tidemill
