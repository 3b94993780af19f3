// A sum of doubles without rounding: the order of addition shows in no result, and subtracting
// undoes adding exactly.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "state/codec.h"
#include "state/memory_size.h"

namespace tidemill {

// A binary fixed-point number as wide as what was added needs: every finite double is held exactly,
// whatever its magnitude, and so is every sum of less than 2^63 of them. Values between about 2^-64
// and 2^63 take no memory beyond the object. Infinities and NaNs are counted apart, so that
// subtracting one undoes it too. A plain value, no invariants between objects; not thread-safe.
class ExactSum {
 public:
  ExactSum() = default;
  ExactSum(const ExactSum& other) { copy(other); }
  ExactSum(ExactSum&& other) noexcept { swap(other); }
  ExactSum& operator=(const ExactSum& other) {
    if (this != &other) copy(other);
    return *this;
  }
  ExactSum& operator=(ExactSum&& other) noexcept {
    swap(other);
    return *this;
  }
  ~ExactSum() = default;

  void add(double x) { add(x, false); }
  void subtract(double x) { add(x, true); }
  // Adds x * x, which no double need hold.
  void add_square(double x) { add_square(x, false); }
  void add_integer(std::int64_t x);

  void merge(const ExactSum& other) { merge(other, false); }
  void subtract(const ExactSum& other) { merge(other, true); }

  [[nodiscard]] ExactSum times(const ExactSum& other) const;

  // The nearest double, ties to even; infinite if beyond. With infinities or NaNs added: what IEEE
  // addition would give.
  [[nodiscard]] double value() const;
  [[nodiscard]] bool is_zero() const;
  // No infinity or NaN is in the sum.
  [[nodiscard]] bool is_finite() const { return !non_finite_; }

  // Few bytes for few digits: 3.5 takes 4.
  void encode(Bytes& out) const;
  // Throws Error(kCorrupt) on what encode cannot have written.
  static ExactSum decode(ByteReader& in);
  // Bytes on the heap.
  [[nodiscard]] std::size_t heap_bytes() const;

  friend bool operator==(const ExactSum& a, const ExactSum& b);

 private:
  struct NonFinite {
    std::int64_t nans = 0;
    std::int64_t positive = 0;
    std::int64_t negative = 0;
  };
  static constexpr int kInline = 3;

  void copy(const ExactSum& other);
  void swap(ExactSum& other) noexcept;
  void add(double x, bool negate) {
    const auto bits = std::bit_cast<std::uint64_t>(x);
    const auto exponent = static_cast<int>((bits >> 52) & 0x7FF);
    const std::uint64_t fraction = bits & ((1ULL << 52) - 1);
    const bool negative = (bits >> 63 != 0) != negate;
    if (exponent == 0x7FF) {
      add_non_finite(fraction != 0, bits >> 63 != 0, negate ? -1 : 1);
    } else if (exponent != 0) {
      add_scaled(fraction | (1ULL << 52), exponent - 1075, negative);
    } else if (fraction != 0) {
      add_scaled(fraction, -1074, negative);
    }
  }
  void add_square(double x, bool negate);
  void add_non_finite(bool is_nan, bool is_negative, std::int64_t times);
  // Adds magnitude * 2^exponent. Requires: magnitude < 2^126.
  void add_scaled(unsigned __int128 magnitude, int exponent, bool negative);
  void merge(const ExactSum& other, bool negate);
  // Adds the two's complement number limbs[0 .. n) * 2^(64 low).
  void add_limbs(int low, const std::uint64_t* limbs, int n);
  void cover(int low, int high);
  void trim();

  [[nodiscard]] std::uint64_t* limbs() { return heap_ ? heap_.get() : inline_; }
  [[nodiscard]] const std::uint64_t* limbs() const { return heap_ ? heap_.get() : inline_; }
  [[nodiscard]] bool is_negative() const { return size_ > 0 && (limbs()[size_ - 1] >> 63) != 0; }
  // The absolute value's limbs, from 2^(64 low_) up.
  [[nodiscard]] std::vector<std::uint64_t> magnitude() const;

  // The sum of limbs()[i] * 2^(64 (low_ + i)) in two's complement: the top bit of the last limb is
  // the sign. No limbs: zero.
  std::int16_t low_ = 0;
  std::uint16_t size_ = 0;
  std::uint16_t capacity_ = kInline;
  std::uint64_t inline_[kInline] = {};
  std::unique_ptr<std::uint64_t[]> heap_;  // instead of inline_, once that is too short
  std::unique_ptr<NonFinite> non_finite_;
};

template <>
struct Codec<ExactSum> {
  static void encode(Bytes& out, const ExactSum& value) { value.encode(out); }
  static ExactSum decode(ByteReader& in) { return ExactSum::decode(in); }
};

template <>
struct HeapSize<ExactSum> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const ExactSum& value) { return value.heap_bytes(); }
};

}  // namespace tidemill
