#include "operators/exact_sum.h"

#include <algorithm>
#include <limits>

namespace tidemill {
namespace {

// Limb positions a stored sum may have: squares of the smallest doubles begin at 2^-2148, and 2^63
// of the greatest end below 2^2112.
constexpr int kLowest = -40;
constexpr int kHighest = 40;

constexpr std::uint64_t sign_limb(std::uint64_t top) { return (top >> 63) != 0 ? ~0ULL : 0ULL; }

constexpr int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

void negate(std::uint64_t* limbs, int n) {
  bool carry = true;
  for (int i = 0; i < n; ++i) {
    limbs[i] = ~limbs[i] + (carry ? 1 : 0);
    carry = carry && limbs[i] == 0;
  }
}

}  // namespace

void ExactSum::copy(const ExactSum& other) {
  low_ = other.low_;
  size_ = other.size_;
  if (size_ > capacity_) {
    heap_ = std::make_unique<std::uint64_t[]>(size_);
    capacity_ = size_;
  }
  std::copy_n(other.limbs(), size_, limbs());
  non_finite_ = other.non_finite_ ? std::make_unique<NonFinite>(*other.non_finite_) : nullptr;
}

void ExactSum::swap(ExactSum& other) noexcept {
  std::swap(low_, other.low_);
  std::swap(size_, other.size_);
  std::swap(capacity_, other.capacity_);
  std::swap(inline_, other.inline_);
  heap_.swap(other.heap_);
  non_finite_.swap(other.non_finite_);
}

void ExactSum::add_integer(std::int64_t x) {
  const auto limb = static_cast<std::uint64_t>(x);
  add_limbs(0, &limb, 1);
}

void ExactSum::add_square(double x, bool negate) {
  if (!std::isfinite(x)) {
    add_non_finite(std::isnan(x), false, negate ? -1 : 1);
    return;
  }
  int exponent = 0;
  const double fraction =
      std::frexp(std::fabs(x), &exponent);  // x = fraction * 2^exponent, fraction in [0.5, 1)
  const auto mantissa = static_cast<std::uint64_t>(std::ldexp(fraction, 53));
  if (mantissa == 0) return;
  add_scaled(static_cast<unsigned __int128>(mantissa) * mantissa, 2 * (exponent - 53), negate);
}

void ExactSum::add_non_finite(bool is_nan, bool is_negative, std::int64_t times) {
  if (!non_finite_) non_finite_ = std::make_unique<NonFinite>();
  (is_nan        ? non_finite_->nans
   : is_negative ? non_finite_->negative
                 : non_finite_->positive) += times;
  if (non_finite_->nans == 0 && non_finite_->positive == 0 && non_finite_->negative == 0)
    non_finite_.reset();
}

void ExactSum::add_scaled(unsigned __int128 magnitude, int exponent, bool negative) {
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
  if (negative) negate(limbs, 4);
  int n = 4;
  while (n > 1 && limbs[n - 1] == sign_limb(limbs[n - 2])) --n;
  add_limbs(low, limbs, n);
}

void ExactSum::merge(const ExactSum& other, bool negated) {
  if (other.non_finite_) {
    const NonFinite counts = *other.non_finite_;
    const std::int64_t sign = negated ? -1 : 1;
    add_non_finite(true, false, sign * counts.nans);
    add_non_finite(false, false, sign * counts.positive);
    add_non_finite(false, true, sign * counts.negative);
  }
  if (other.size_ == 0) return;
  if (!negated && &other != this) {
    add_limbs(other.low_, other.limbs(), other.size_);
    return;
  }
  // One limb more, since the lowest number has no opposite in as many limbs.
  constexpr int kStack = 8;
  std::uint64_t stack[kStack + 1];
  std::vector<std::uint64_t> big;
  std::uint64_t* copy = stack;
  if (other.size_ > kStack) {
    big.resize(other.size_ + 1U);
    copy = big.data();
  }
  std::copy_n(other.limbs(), other.size_, copy);
  int n = other.size_ + 1;
  copy[n - 1] = sign_limb(copy[n - 2]);
  if (negated) negate(copy, n);
  while (n > 1 && copy[n - 1] == sign_limb(copy[n - 2])) --n;
  add_limbs(other.low_, copy, n);
  if (negated) trim();
}

void ExactSum::cover(int low, int high) {
  if (size_ == 0) low_ = static_cast<std::int16_t>(low);
  const int old_low = low_;
  const int new_low = std::min(old_low, low);
  const int new_high = std::max(old_low + size_, high);
  const int new_size = new_high - new_low;
  if (new_size == size_) return;
  const int below = old_low - new_low;
  const std::uint64_t sign = size_ == 0 ? 0 : sign_limb(limbs()[size_ - 1]);
  if (new_size > capacity_) {
    const int capacity = std::max(new_size, 2 * static_cast<int>(capacity_));
    auto wider = std::make_unique<std::uint64_t[]>(static_cast<std::size_t>(capacity));
    std::copy_n(limbs(), size_, wider.get() + below);
    heap_ = std::move(wider);
    capacity_ = static_cast<std::uint16_t>(capacity);
  } else if (below > 0) {
    std::copy_backward(limbs(), limbs() + size_, limbs() + size_ + below);
  }
  std::uint64_t* all = limbs();
  std::fill_n(all, below, 0);
  std::fill(all + below + size_, all + new_size, sign);
  low_ = static_cast<std::int16_t>(new_low);
  size_ = static_cast<std::uint16_t>(new_size);
}

void ExactSum::add_limbs(int low, const std::uint64_t* addend, int n) {
  cover(low, low + n);
  std::uint64_t* all = limbs();
  const std::uint64_t own_sign = sign_limb(all[size_ - 1]);
  const std::uint64_t addend_sign = sign_limb(addend[n - 1]);
  bool carry = false;
  const int first = low - low_;
  for (int i = first; i < size_; ++i) {
    const std::uint64_t term = i - first < n ? addend[i - first] : addend_sign;
    std::uint64_t sum = 0;
    const bool over = __builtin_add_overflow(all[i], term, &sum);
    carry = __builtin_add_overflow(sum, static_cast<std::uint64_t>(carry), &all[i]) || over;
  }
  // Two numbers of one sign with a sum of the other: the true sign needs a limb of its own.
  if (own_sign == addend_sign && sign_limb(all[size_ - 1]) != own_sign) {
    cover(low_, low_ + size_ + 1);
    limbs()[size_ - 1] = own_sign;
  }
}

void ExactSum::trim() {
  std::uint64_t* all = limbs();
  int n = size_;
  while (n > 1 && all[n - 1] == sign_limb(all[n - 2])) --n;
  int below = 0;
  while (below < n && all[below] == 0) ++below;
  if (below == n) {
    below = n = 0;
  }
  std::copy(all + below, all + n, all);
  low_ = static_cast<std::int16_t>(low_ + below);
  size_ = static_cast<std::uint16_t>(n - below);
  if (heap_ && size_ <= kInline) {
    std::copy_n(heap_.get(), size_, inline_);
    heap_.reset();
    capacity_ = kInline;
  }
}

std::vector<std::uint64_t> ExactSum::magnitude() const {
  std::vector<std::uint64_t> all(limbs(), limbs() + size_);
  if (is_negative())
    negate(all.data(), size_);  // the lowest number becomes itself, read as unsigned: right
  return all;
}

ExactSum ExactSum::times(const ExactSum& other) const {
  ExactSum product;
  if (size_ == 0 || other.size_ == 0) return product;
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
  const int n = static_cast<int>(limbs.size());
  if (is_negative() != other.is_negative()) negate(limbs.data(), n);
  product.add_limbs(low_ + other.low_, limbs.data(), n);
  product.trim();
  return product;
}

double ExactSum::value() const {
  if (non_finite_) {
    if (non_finite_->nans != 0 || (non_finite_->positive != 0 && non_finite_->negative != 0))
      return std::numeric_limits<double>::quiet_NaN();
    if (non_finite_->positive != 0) return std::numeric_limits<double>::infinity();
    return -std::numeric_limits<double>::infinity();
  }
  // The two or three limbs of nearly every sum, without the heap.
  constexpr int kStack = 8;
  std::uint64_t stack[kStack];
  std::vector<std::uint64_t> big;
  std::uint64_t* all = stack;
  if (size_ > kStack) {
    big.resize(size_);
    all = big.data();
  }
  std::copy_n(limbs(), size_, all);
  const bool negative = is_negative();
  if (negative) negate(all, size_);
  int top = size_ - 1;
  while (top >= 0 && all[top] == 0) --top;
  if (top < 0) return 0.0;
  // Positions count bits from the lowest limb's first; `base` is the exponent of position 0.
  const int base = 64 * low_;
  const int highest = 64 * top + 63 - std::countl_zero(all[top]);
  const int lowest = std::max(highest - 52, -1074 - base);
  const auto bits_from = [&](int position) -> std::uint64_t {  // the 64 bits from `position` on
    if (position < 0) return position <= -64 ? 0 : all[0] << -position;
    const int limb = position / 64;
    const int shift = position % 64;
    std::uint64_t bits = limb <= top ? all[limb] >> shift : 0;
    if (shift != 0 && limb + 1 <= top) bits |= all[limb + 1] << (64 - shift);
    return bits;
  };
  std::uint64_t mantissa = lowest > highest ? 0 : bits_from(lowest);
  if (lowest > 0) {
    const int half = lowest - 1;
    const bool is_half = ((all[half / 64] >> (half % 64)) & 1) != 0;
    bool is_more = (all[half / 64] & ((1ULL << (half % 64)) - 1)) != 0;
    for (int i = 0; i < half / 64 && !is_more; ++i) is_more = all[i] != 0;
    if (is_half && (is_more || (mantissa & 1) != 0)) ++mantissa;
  }
  const double rounded = std::ldexp(static_cast<double>(mantissa), base + lowest);
  return negative ? -rounded : rounded;
}

bool ExactSum::is_zero() const {
  return !non_finite_ &&
         std::all_of(limbs(), limbs() + size_, [](std::uint64_t limb) { return limb == 0; });
}

bool operator==(const ExactSum& a, const ExactSum& b) {
  ExactSum difference = a;
  difference.subtract(b);
  return difference.is_zero();
}

// [varint 2 * bytes + non-finite?][zigzag exponent / 8][two's complement bytes, lowest first,
// without zeros below or repeated sign above][three zigzag counts if non-finite].
void ExactSum::encode(Bytes& out) const {
  Bytes bytes;
  bytes.reserve(8U * size_ + 1);
  for (int i = 0; i < size_; ++i) {
    const std::uint64_t limb = limbs()[i];
    for (int b = 0; b < 64; b += 8) bytes.push_back(static_cast<char>((limb >> b) & 0xFF));
  }
  const auto sign_of = [](char c) {
    return (static_cast<unsigned char>(c) & 0x80) != 0 ? '\xFF' : '\0';
  };
  while (bytes.size() > 1 && bytes.back() == sign_of(bytes[bytes.size() - 2])) bytes.pop_back();
  std::size_t below = bytes.find_first_not_of('\0');
  if (below == Bytes::npos) below = bytes.size();
  const std::size_t kept = bytes.size() - below;
  append_varint(out, 2 * kept + (non_finite_ ? 1 : 0));
  if (kept > 0) {
    append_varint(out,
                  zigzag(8 * static_cast<std::int64_t>(low_) + static_cast<std::int64_t>(below)));
    out.append(bytes, below, kept);
  }
  if (non_finite_) {
    for (const std::int64_t n : {non_finite_->nans, non_finite_->positive, non_finite_->negative})
      append_varint(out, zigzag(n));
  }
}

ExactSum ExactSum::decode(ByteReader& in) {
  const auto corrupt = [] { return Error(ErrorCode::kCorrupt, "stored exact sum is malformed"); };
  ExactSum sum;
  const std::uint64_t header = in.varint();
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
    sum.non_finite_ = std::make_unique<NonFinite>();
    for (std::int64_t* n :
         {&sum.non_finite_->nans, &sum.non_finite_->positive, &sum.non_finite_->negative})
      *n = unzigzag(in.varint());
  }
  return sum;
}

std::size_t ExactSum::heap_bytes() const {
  return (heap_ ? sizeof(std::uint64_t) * capacity_ : 0) + (non_finite_ ? sizeof(NonFinite) : 0);
}

}  // namespace tidemill
