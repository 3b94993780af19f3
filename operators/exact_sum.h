// A sum of doubles without rounding: the order of addition shows in no result, and subtracting
// undoes adding exactly.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <utility>

#include "engine/base/bytes.h"
#include "state/codec.h"
#include "state/memory_size.h"

namespace tidemill {

// Every finite double is held exactly, whatever its magnitude, and so is every sum of less than
// 2^63 of them. What is a multiple of 2^-72, with a sum below 2^55, is one 128-bit number; the rest
// is kept apart, as wide as it needs to be. Infinities and NaNs are counted, so that subtracting
// one undoes it too. A plain value, no invariants between objects; not thread-safe.
class ExactSum {
 public:
  ExactSum() = default;
  ExactSum(const ExactSum& other)
      : low_(other.low_), high_(other.high_), wide_(other.wide_ ? other.copy_of_wide() : nullptr) {}
  ExactSum(ExactSum&& other) noexcept = default;
  ExactSum& operator=(const ExactSum& other) {
    if (this != &other) *this = ExactSum(other);
    return *this;
  }
  ExactSum& operator=(ExactSum&& other) noexcept = default;
  ~ExactSum() = default;

  void add(double x) { add(x, false); }
  void subtract(double x) { add(x, true); }
  // Adds x * x, which no double need hold.
  void add_square(double x);
  void add_integer(std::int64_t x);

  void merge(const ExactSum& other) {
    __int128 sum = 0;
    if (wide_ || other.wide_ || __builtin_add_overflow(fixed(), other.fixed(), &sum)) [[unlikely]] {
      merge_wide(other, false);
    } else {
      set(sum);
    }
  }
  void subtract(const ExactSum& other) {
    __int128 sum = 0;
    if (wide_ || other.wide_ || __builtin_sub_overflow(fixed(), other.fixed(), &sum)) [[unlikely]] {
      merge_wide(other, true);
    } else {
      set(sum);
    }
  }

  [[nodiscard]] ExactSum times(const ExactSum& other) const;

  // The nearest double, ties to even; infinite if beyond. With infinities or NaNs added: what IEEE
  // addition would give.
  [[nodiscard]] double value() const {
    if (wide_) [[unlikely]]
      return wide_value();
    return static_cast<double>(fixed()) * 0x1p-72;  // the conversion rounds, the product does not
  }
  [[nodiscard]] bool is_zero() const;
  // No infinity or NaN is in the sum.
  [[nodiscard]] bool is_finite() const;

  // Few bytes for few digits: 3.5 takes 4.
  void encode(Bytes& out) const;
  // Throws Error(kCorrupt) on what encode cannot have written.
  static ExactSum decode(ByteReader& in);
  // Bytes on the heap.
  [[nodiscard]] std::size_t heap_bytes() const { return wide_ ? wide_bytes() : 0; }

  friend bool operator==(const ExactSum& a, const ExactSum& b);

 private:
  class Wide;
  struct FreeWide {
    void operator()(Wide* wide) const;
  };
  using WidePointer = std::unique_ptr<Wide, FreeWide>;
  // The 128-bit number counts units of 2^-kUnitBits.
  static constexpr int kUnitBits = 72;

  [[nodiscard]] __int128 fixed() const {
    return static_cast<__int128>(
        (static_cast<unsigned __int128>(static_cast<std::uint64_t>(high_)) << 64) | low_);
  }
  void set(__int128 sum) {
    low_ = static_cast<std::uint64_t>(sum);
    high_ = static_cast<std::int64_t>(sum >> 64);
  }

  void add(double x, bool negate) {
    const auto bits = std::bit_cast<std::uint64_t>(x);
    // x = mantissa * 2^(shift - kUnitBits), if it is no infinity and not below 2^-1022.
    const int shift = static_cast<int>((bits >> 52) & 0x7FF) - 1075 + kUnitBits;
    const auto mantissa = static_cast<std::int64_t>((bits & ((1ULL << 52) - 1)) | (1ULL << 52));
    const bool is_negative = (bits >> 63 != 0) != negate;
    __int128 sum = 0;
    if (shift < 0 || shift > 72) [[unlikely]] {
      if ((bits << 1) != 0) add_wide(x, negate);
      return;
    }
    const __int128 term = static_cast<__int128>(is_negative ? -mantissa : mantissa) << shift;
    if (__builtin_add_overflow(fixed(), term, &sum)) [[unlikely]] {
      add_wide(x, negate);
    } else {
      set(sum);
    }
  }

  [[nodiscard]] WidePointer copy_of_wide() const;
  [[nodiscard]] std::size_t wide_bytes() const;
  [[nodiscard]] double wide_value() const;
  void add_wide(double x, bool negate);
  void merge_wide(const ExactSum& other, bool negate);
  Wide& wide();
  // The whole sum in one.
  [[nodiscard]] Wide all() const;
  // Takes `sum` over as it is, in 128 bits if it fits there.
  void take(Wide sum);

  // The sum is the 128-bit number and what `wide_` holds.
  std::uint64_t low_ = 0;
  std::int64_t high_ = 0;
  WidePointer wide_;
};

template <>
struct Codec<ExactSum> {
  static void encode(Bytes& out, const ExactSum& value) { value.encode(out); }
  static ExactSum decode(ByteReader& in) { return ExactSum::decode(in); }
  static StoredType layout() { return stored::plain(StoredType::Kind::kExactSum); }
};

template <>
struct HeapSize<ExactSum> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const ExactSum& value) { return value.heap_bytes(); }
};

}  // namespace tidemill
