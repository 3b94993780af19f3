#include "operators/exact_sum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace tidemill {
namespace {

// Limb positions a stored sum may have: squares of the smallest doubles begin at 2^-2148, and 2^63
// of the greatest end below 2^2112.
constexpr int kLowest = -40;
constexpr int kHighest = 40;

constexpr std::uint64_t sign_limb(std::uint64_t top) { return (top >> 63) != 0 ? ~0ULL : 0ULL; }

constexpr int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

void negate(std::uint64_t* limbs, std::size_t n) {
  bool carry = true;
  for (std::size_t i = 0; i < n; ++i) {
    limbs[i] = ~limbs[i] + (carry ? 1 : 0);
    carry = carry && limbs[i] == 0;
  }
}

}  // namespace

// A binary fixed-point number as wide as what was added needs, and counts of what is not finite.
class ExactSum::Wide {
 public:
  void add(double x, bool negate) {
    if (!std::isfinite(x)) {
      add_non_finite(std::isnan(x), x < 0, negate ? -1 : 1);
      return;
    }
    const auto bits = std::bit_cast<std::uint64_t>(x);
    const auto exponent = static_cast<int>((bits >> 52) & 0x7FF);
    const std::uint64_t fraction = bits & ((1ULL << 52) - 1);
    const bool is_negative = (bits >> 63 != 0) != negate;
    if (exponent != 0) {
      add_scaled(fraction | (1ULL << 52), exponent - 1075, is_negative);
    } else if (fraction != 0) {
      add_scaled(fraction, -1074, is_negative);
    }
  }
  void add_non_finite(bool is_nan, bool is_negative, std::int64_t times) {
    (is_nan ? nans_ : is_negative ? negative_ : positive_) += times;
  }
  // Adds magnitude * 2^exponent. Requires: magnitude < 2^126.
  void add_scaled(unsigned __int128 magnitude, int exponent, bool is_negative);
  // Adds a number of units of 2^-kUnitBits.
  void add_fixed(__int128 units, bool negate);
  void merge(const Wide& other, bool negate);
  [[nodiscard]] Wide times(const Wide& other) const;
  // Takes away limbs that say nothing.
  void trim();

  [[nodiscard]] double value() const;
  [[nodiscard]] bool is_zero() const {
    return is_finite() &&
           std::all_of(limbs_.begin(), limbs_.end(), [](std::uint64_t limb) { return limb == 0; });
  }
  [[nodiscard]] bool is_finite() const { return nans_ == 0 && positive_ == 0 && negative_ == 0; }
  // Whether it is a whole number of units of 2^-kUnitBits within 128 bits. Requires: trimmed.
  [[nodiscard]] bool fits(__int128& units) const;
  [[nodiscard]] std::size_t heap_bytes() const {
    return sizeof(Wide) + sizeof(std::uint64_t) * limbs_.capacity();
  }

  void encode(Bytes& out) const;
  static Wide decode(std::uint64_t header, ByteReader& in);

 private:
  // Adds the two's complement number limbs[0 .. n) * 2^(64 low).
  void add_limbs(int low, const std::uint64_t* limbs, int n);
  void cover(int low, int high);
  [[nodiscard]] int size() const { return static_cast<int>(limbs_.size()); }
  [[nodiscard]] bool is_negative() const { return !limbs_.empty() && (limbs_.back() >> 63) != 0; }
  // The absolute value's limbs, from 2^(64 low_) up.
  [[nodiscard]] std::vector<std::uint64_t> magnitude() const {
    std::vector<std::uint64_t> all = limbs_;
    if (is_negative())
      negate(all.data(), all.size());  // the lowest number becomes itself, read as unsigned: right
    return all;
  }

  // The sum of limbs_[i] * 2^(64 (low_ + i)) in two's complement: the top bit of the last limb is
  // the sign. No limbs: zero.
  int low_ = 0;
  std::vector<std::uint64_t> limbs_;
  std::int64_t nans_ = 0;
  std::int64_t positive_ = 0;
  std::int64_t negative_ = 0;
};

void ExactSum::Wide::add_scaled(unsigned __int128 magnitude, int exponent, bool is_negative) {
  // Drop zeros below first: the fewer limbs the better.
  const auto head = static_cast<std::uint64_t>(magnitude);
  const int zeros = head != 0 ? std::countr_zero(head)
                              : 64 + std::countr_zero(static_cast<std::uint64_t>(magnitude >> 64));
  magnitude >>= zeros;
  exponent += zeros;
  const int low = floor_div(exponent, 64);
  const int shift = exponent - 64 * low;
  std::uint64_t limbs[4] = {static_cast<std::uint64_t>(magnitude) << shift, 0, 0, 0};
  if (shift == 0) {
    limbs[1] = static_cast<std::uint64_t>(magnitude >> 64);
  } else {
    limbs[1] = static_cast<std::uint64_t>(magnitude >> (64 - shift));
    limbs[2] = static_cast<std::uint64_t>((magnitude >> 64) >> (64 - shift));
  }
  if (is_negative) negate(limbs, 4);
  int n = 4;
  while (n > 1 && limbs[n - 1] == sign_limb(limbs[n - 2])) --n;
  add_limbs(low, limbs, n);
}

void ExactSum::Wide::add_fixed(__int128 units, bool negated) {
  constexpr int kLow = floor_div(-kUnitBits, 64);
  constexpr int kShift = -kUnitBits - 64 * kLow;
  const auto low = static_cast<std::uint64_t>(units);
  const auto high = static_cast<std::int64_t>(units >> 64);
  std::uint64_t limbs[4] = {
      low << kShift,
      (low >> (64 - kShift)) | (static_cast<std::uint64_t>(high) << kShift),
      static_cast<std::uint64_t>(high >> (64 - kShift)),
      high < 0 ? ~0ULL : 0ULL,
  };
  if (negated) negate(limbs, 4);
  add_limbs(kLow, limbs, 4);
}

void ExactSum::Wide::merge(const Wide& other, bool negated) {
  const std::int64_t sign = negated ? -1 : 1;
  nans_ += sign * other.nans_;
  positive_ += sign * other.positive_;
  negative_ += sign * other.negative_;
  if (other.limbs_.empty()) return;
  // One limb more, since the lowest number has no opposite in as many limbs.
  std::vector<std::uint64_t> copy = other.limbs_;
  copy.push_back(sign_limb(copy.back()));
  if (negated) negate(copy.data(), copy.size());
  while (copy.size() > 1 && copy.back() == sign_limb(copy[copy.size() - 2])) copy.pop_back();
  add_limbs(other.low_, copy.data(), static_cast<int>(copy.size()));
}

void ExactSum::Wide::cover(int low, int high) {
  if (limbs_.empty()) low_ = low;
  const int below = std::max(0, low_ - low);
  const int above = std::max(0, high - (low_ + size()));
  const std::uint64_t sign = limbs_.empty() ? 0 : sign_limb(limbs_.back());
  limbs_.insert(limbs_.end(), static_cast<std::size_t>(above), sign);
  limbs_.insert(limbs_.begin(), static_cast<std::size_t>(below), 0);
  low_ -= below;
}

void ExactSum::Wide::add_limbs(int low, const std::uint64_t* addend, int n) {
  cover(low, low + n);
  std::uint64_t* all = limbs_.data();
  const std::uint64_t own_sign = sign_limb(limbs_.back());
  const std::uint64_t addend_sign = sign_limb(addend[n - 1]);
  bool carry = false;
  const int first = low - low_;
  for (int i = first; i < size(); ++i) {
    const std::uint64_t term = i - first < n ? addend[i - first] : addend_sign;
    std::uint64_t sum = 0;
    const bool over = __builtin_add_overflow(all[i], term, &sum);
    carry = __builtin_add_overflow(sum, static_cast<std::uint64_t>(carry), &all[i]) || over;
  }
  // Two numbers of one sign with a sum of the other: the true sign needs a limb of its own.
  if (own_sign == addend_sign && sign_limb(limbs_.back()) != own_sign) limbs_.push_back(own_sign);
}

void ExactSum::Wide::trim() {
  while (limbs_.size() > 1 && limbs_.back() == sign_limb(limbs_[limbs_.size() - 2]))
    limbs_.pop_back();
  const auto first =
      std::find_if(limbs_.begin(), limbs_.end(), [](std::uint64_t limb) { return limb != 0; });
  low_ += static_cast<int>(first - limbs_.begin());
  limbs_.erase(limbs_.begin(), first);
}

bool ExactSum::Wide::fits(__int128& units) const {
  constexpr int kLow = floor_div(-kUnitBits, 64);
  constexpr int kShift = -kUnitBits - 64 * kLow;
  if (!is_finite()) return false;
  units = 0;
  if (limbs_.empty()) return true;
  if (low_ < kLow || low_ + size() > kLow + 3) return false;
  const auto limb = [&](int at) -> std::uint64_t {
    if (at < low_) return 0;
    return at < low_ + size() ? limbs_[static_cast<std::size_t>(at - low_)]
                              : sign_limb(limbs_.back());
  };
  const std::uint64_t a = limb(kLow);
  const std::uint64_t b = limb(kLow + 1);
  const auto c = static_cast<std::int64_t>(limb(kLow + 2));
  if ((a & ((1ULL << kShift) - 1)) != 0 || c >> (kShift - 1) != c >> 63) return false;
  const std::uint64_t low = (a >> kShift) | (b << (64 - kShift));
  const std::uint64_t high = (b >> kShift) | (static_cast<std::uint64_t>(c) << (64 - kShift));
  units = static_cast<__int128>((static_cast<unsigned __int128>(high) << 64) | low);
  return true;
}

ExactSum::Wide ExactSum::Wide::times(const Wide& other) const {
  Wide product;
  if (limbs_.empty() || other.limbs_.empty()) return product;
  const std::vector<std::uint64_t> a = magnitude();
  const std::vector<std::uint64_t> b = other.magnitude();
  std::vector<std::uint64_t> limbs(a.size() + b.size() + 1, 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::uint64_t carry = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const unsigned __int128 term =
          static_cast<unsigned __int128>(a[i]) * b[j] + limbs[i + j] + carry;
      limbs[i + j] = static_cast<std::uint64_t>(term);
      carry = static_cast<std::uint64_t>(term >> 64);
    }
    limbs[i + b.size()] = carry;
  }
  if (is_negative() != other.is_negative()) negate(limbs.data(), limbs.size());
  product.add_limbs(low_ + other.low_, limbs.data(), static_cast<int>(limbs.size()));
  return product;
}

double ExactSum::Wide::value() const {
  if (!is_finite()) {
    if (nans_ != 0 || (positive_ != 0 && negative_ != 0))
      return std::numeric_limits<double>::quiet_NaN();
    if (positive_ != 0) return std::numeric_limits<double>::infinity();
    return -std::numeric_limits<double>::infinity();
  }
  const std::vector<std::uint64_t> all = magnitude();
  int top = size() - 1;
  while (top >= 0 && all[static_cast<std::size_t>(top)] == 0) --top;
  if (top < 0) return 0.0;
  // Positions count bits from the lowest limb's first; `base` is the exponent of position 0.
  const int base = 64 * low_;
  const int highest = 64 * top + 63 - std::countl_zero(all[static_cast<std::size_t>(top)]);
  const int lowest = std::max(highest - 52, -1074 - base);
  // Below half of the least double; the limbs do not reach as far as the bit that would round it.
  if (lowest > highest + 1) return is_negative() ? -0.0 : 0.0;
  const auto bits_from = [&](int position) -> std::uint64_t {  // the 64 bits from `position` on
    if (position < 0) return position <= -64 ? 0 : all[0] << -position;
    const auto limb = static_cast<std::size_t>(position / 64);
    const int shift = position % 64;
    std::uint64_t bits = limb < all.size() ? all[limb] >> shift : 0;
    if (shift != 0 && limb + 1 < all.size()) bits |= all[limb + 1] << (64 - shift);
    return bits;
  };
  std::uint64_t mantissa = lowest > highest ? 0 : bits_from(lowest);
  if (lowest > 0) {
    const auto half = static_cast<std::size_t>(lowest - 1);
    const bool is_half = ((all[half / 64] >> (half % 64)) & 1) != 0;
    bool is_more = (all[half / 64] & ((1ULL << (half % 64)) - 1)) != 0;
    for (std::size_t i = 0; i < half / 64 && !is_more; ++i) is_more = all[i] != 0;
    if (is_half && (is_more || (mantissa & 1) != 0)) ++mantissa;
  }
  const double rounded = std::ldexp(static_cast<double>(mantissa), base + lowest);
  return is_negative() ? -rounded : rounded;
}

// [varint 2 * bytes + non-finite?][zigzag exponent / 8][two's complement bytes, lowest first,
// without zeros below or repeated sign above][three zigzag counts if non-finite].
void ExactSum::Wide::encode(Bytes& out) const {
  Bytes bytes;
  bytes.reserve(8 * limbs_.size() + 1);
  for (const std::uint64_t limb : limbs_) {
    for (int b = 0; b < 64; b += 8) bytes.push_back(static_cast<char>((limb >> b) & 0xFF));
  }
  const auto sign_of = [](char c) {
    return (static_cast<unsigned char>(c) & 0x80) != 0 ? '\xFF' : '\0';
  };
  while (bytes.size() > 1 && bytes.back() == sign_of(bytes[bytes.size() - 2])) bytes.pop_back();
  std::size_t below = bytes.find_first_not_of('\0');
  if (below == Bytes::npos) below = bytes.size();
  const std::size_t kept = bytes.size() - below;
  append_varint(out, 2 * kept + (is_finite() ? 0 : 1));
  if (kept > 0) {
    append_varint(out,
                  zigzag(8 * static_cast<std::int64_t>(low_) + static_cast<std::int64_t>(below)));
    out.append(bytes, below, kept);
  }
  if (!is_finite()) {
    for (const std::int64_t n : {nans_, positive_, negative_}) append_varint(out, zigzag(n));
  }
}

ExactSum::Wide ExactSum::Wide::decode(std::uint64_t header, ByteReader& in) {
  const auto corrupt = [] { return Error(ErrorCode::kCorrupt, "stored exact sum is malformed"); };
  Wide sum;
  const std::uint64_t kept = header / 2;
  if (kept > 0) {
    const std::int64_t first = unzigzag(in.varint());
    if (first < 8 * kLowest || kept > 8 * (kHighest - kLowest)) throw corrupt();
    const ByteView bytes = in.take(static_cast<std::size_t>(kept));
    const int low = floor_div(static_cast<int>(std::min<std::int64_t>(first, 8 * kHighest)), 8);
    const auto skip = static_cast<std::size_t>(first - 8 * static_cast<std::int64_t>(low));
    if (skip >= 8 || low + static_cast<int>((skip + kept + 7) / 8) > kHighest) throw corrupt();
    std::vector<std::uint64_t> limbs((skip + bytes.size() + 7) / 8, 0);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      limbs[(skip + i) / 8] |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i]))
                               << (8 * ((skip + i) % 8));
    }
    const std::size_t used = (skip + bytes.size()) % 8;
    if (used != 0 && (static_cast<unsigned char>(bytes.back()) & 0x80) != 0)
      limbs.back() |= ~0ULL << (8 * used);
    sum.add_limbs(low, limbs.data(), static_cast<int>(limbs.size()));
  }
  if (header % 2 != 0) {
    for (std::int64_t* n : {&sum.nans_, &sum.positive_, &sum.negative_}) *n = unzigzag(in.varint());
  }
  return sum;
}

void ExactSum::FreeWide::operator()(Wide* wide) const { std::default_delete<Wide>()(wide); }

ExactSum::WidePointer ExactSum::copy_of_wide() const { return WidePointer(new Wide(*wide_)); }

std::size_t ExactSum::wide_bytes() const { return wide_->heap_bytes(); }

ExactSum::Wide& ExactSum::wide() {
  if (!wide_) wide_.reset(new Wide());
  return *wide_;
}

ExactSum::Wide ExactSum::all() const {
  Wide sum;
  if (wide_) sum = *wide_;
  sum.add_fixed(fixed(), false);
  sum.trim();
  return sum;
}

void ExactSum::take(Wide sum) {
  sum.trim();
  __int128 units = 0;
  if (sum.fits(units)) {
    wide_.reset();
  } else {
    wide() = std::move(sum);
  }
  set(units);
}

void ExactSum::add_wide(double x, bool negate) {
  wide().add(x, negate);
  if (negate) take(all());
}

void ExactSum::merge_wide(const ExactSum& other, bool negate) {
  Wide sum = all();
  sum.merge(other.all(), negate);
  take(std::move(sum));
}

void ExactSum::add_square(double x) {
  if (!std::isfinite(x)) {
    wide().add_non_finite(std::isnan(x), false, 1);
    return;
  }
  int exponent = 0;
  const double fraction =
      std::frexp(std::fabs(x), &exponent);  // x = fraction * 2^exponent, fraction in [0.5, 1)
  auto mantissa = static_cast<std::uint64_t>(std::ldexp(fraction, 53));
  if (mantissa == 0) return;
  const int zeros = std::countr_zero(mantissa);
  mantissa >>= zeros;
  const auto square = static_cast<unsigned __int128>(mantissa) * mantissa;
  const int shift = 2 * (exponent - 53 + zeros) + kUnitBits;
  const int bits = 2 * (64 - std::countl_zero(mantissa));
  __int128 sum = 0;
  if (shift >= 0 && bits + shift <= 126 &&
      !__builtin_add_overflow(fixed(), static_cast<__int128>(square << shift), &sum)) {
    set(sum);
  } else {
    wide().add_scaled(square, shift - kUnitBits, false);
  }
}

void ExactSum::add_integer(std::int64_t x) {
  const std::uint64_t magnitude =
      x < 0 ? 0 - static_cast<std::uint64_t>(x) : static_cast<std::uint64_t>(x);
  if (magnitude >> 53 != 0) {
    wide().add_scaled(magnitude, 0, x < 0);
  } else {
    add(static_cast<double>(x));
  }
}

ExactSum ExactSum::times(const ExactSum& other) const {
  ExactSum product;
  product.take(all().times(other.all()));
  return product;
}

double ExactSum::wide_value() const { return all().value(); }

bool ExactSum::is_zero() const { return wide_ ? all().is_zero() : fixed() == 0; }

bool ExactSum::is_finite() const { return !wide_ || wide_->is_finite(); }

bool operator==(const ExactSum& a, const ExactSum& b) {
  ExactSum difference = a;
  difference.subtract(b);
  return difference.is_zero();
}

// As Wide::encode, which it is the short way of.
void ExactSum::encode(Bytes& out) const {
  if (wide_) {
    all().encode(out);
    return;
  }
  if (low_ == 0 && high_ == 0) {
    out.push_back('\0');
    return;
  }
  const auto high = static_cast<std::uint64_t>(high_);
  const std::uint64_t sign = sign_limb(high);
  const int same =
      (high ^ sign) != 0 ? std::countl_zero(high ^ sign) : 64 + std::countl_zero(low_ ^ sign);
  const int end = (128 - same) / 8 + 1;  // one bit more than the magnitude needs, for the sign
  const int begin = (low_ != 0 ? std::countr_zero(low_) : 64 + std::countr_zero(high)) / 8;
  append_varint(out, 2 * static_cast<std::uint64_t>(end - begin));
  append_varint(out, zigzag(begin - kUnitBits / 8));
  for (int i = begin; i < end; ++i)
    out.push_back(static_cast<char>((i < 8 ? low_ >> (8 * i) : high >> (8 * (i - 8))) & 0xFF));
}

ExactSum ExactSum::decode(ByteReader& in) {
  ExactSum sum;
  const std::uint64_t header = in.varint();
  if (header == 0) return sum;
  ByteReader ahead = in;
  const std::uint64_t kept = header / 2;
  // Of what is damaged it may be any number: as an unsigned one it can be added to.
  const std::uint64_t begin =
      static_cast<std::uint64_t>(unzigzag(ahead.varint())) + std::uint64_t{kUnitBits / 8};
  if (header % 2 != 0 || begin > 16 || kept > 16 - begin) {
    sum.take(Wide::decode(header, in));
    return sum;
  }
  in = ahead;
  const ByteView bytes = in.take(static_cast<std::size_t>(kept));
  unsigned __int128 units = (static_cast<unsigned char>(bytes.back()) & 0x80) != 0
                                ? ~static_cast<unsigned __int128>(0)
                                : static_cast<unsigned __int128>(0);
  for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte)
    units = (units << 8) | static_cast<unsigned char>(*byte);
  sum.set(static_cast<__int128>(units << (8 * begin)));
  return sum;
}

}  // namespace tidemill
