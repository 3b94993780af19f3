// Schubfach (R. Giulietti, "The Schubfach way to render doubles", 2020). Between 1e-6 and 2^53 all
// powers of ten that it needs are exact in 128 bits.
#include "connectors/formats/shortest_double.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace tidemill {
namespace {

__extension__ using Uint128 = unsigned __int128;

// 10^i, shifted so that the top bit is set.
constexpr int kPowers = 24;
constexpr auto kPowersOfTen = [] {
  std::array<Uint128, kPowers> powers{};
  Uint128 power = 1;
  for (Uint128& p : powers) {
    p = power;
    while ((p >> 127) == 0) p <<= 1;
    power *= 10;
  }
  return powers;
}();

struct Decimal {
  std::uint64_t digits;
  int exponent;
};

// The upper 64 bits of 192, the last of them set if anything is lost.
std::uint64_t scaled_to_odd(Uint128 power, std::uint64_t c) {
  const Uint128 low = Uint128{static_cast<std::uint64_t>(power)} * c;
  const Uint128 high =
      Uint128{static_cast<std::uint64_t>(power >> 64)} * c + static_cast<std::uint64_t>(low >> 64);
  return static_cast<std::uint64_t>(high >> 64) |
         static_cast<std::uint64_t>(static_cast<std::uint64_t>(high) > 1);
}

// value = c * 2^q with 2^52 <= c < 2^53.
Decimal shortest(std::uint64_t c, int q) {
  const bool is_even = (c & 1) == 0;
  const bool is_power_of_two = c == std::uint64_t{1} << 52;  // the neighbour below is nearer
  const int k = (q * 1262611 - (is_power_of_two ? 524031 : 0)) >> 22;  // of the digits' unit, 10^k
  const int h = q + ((-k * 1741647) >> 19) + 1;
  const Uint128 power = kPowersOfTen[static_cast<std::size_t>(-k)];
  // The value and the bounds of what reads back as it, in quarters of 10^k.
  const std::uint64_t lower =
      scaled_to_odd(power, (4 * c - 2 + (is_power_of_two ? 1 : 0)) << h) + (is_even ? 0 : 1);
  const std::uint64_t here = scaled_to_odd(power, (4 * c) << h);
  const std::uint64_t upper = scaled_to_odd(power, (4 * c + 2) << h) - (is_even ? 0 : 1);
  const std::uint64_t s = here / 4;
  if (s >= 10) {
    const std::uint64_t tens = s / 10;
    const bool is_below_in = lower <= 40 * tens;
    const bool is_above_in = 40 * tens + 40 <= upper;
    if (is_below_in != is_above_in) return {tens + (is_above_in ? 1 : 0), k + 1};
  }
  const bool is_below_in = lower <= 4 * s;
  const bool is_above_in = 4 * s + 4 <= upper;
  if (is_below_in != is_above_in) return {s + (is_above_in ? 1 : 0), k};
  const std::uint64_t middle = 4 * s + 2;
  return {s + (here > middle || (here == middle && (s & 1) != 0) ? 1 : 0), k};
}

constexpr auto kTens = [] {
  std::array<std::uint64_t, 20> powers{1};
  for (std::size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}();

constexpr std::uint64_t k1e8 = 100'000'000;
constexpr std::uint64_t kZeros = 0x3030303030303030ULL;

// The eight digits of a number below 10^8, one a byte, the first one lowest.
std::uint64_t eight_digits(std::uint64_t value) {
  std::uint64_t lanes = value / 10000 | (value % 10000) << 32;
  const std::uint64_t hundreds = ((lanes * 10486) >> 20) & 0x0000007F0000007FULL;
  lanes = hundreds | (lanes - 100 * hundreds) << 16;
  const std::uint64_t tens = ((lanes * 103) >> 10) & 0x000F000F000F000FULL;
  return tens | (lanes - 10 * tens) << 8;
}
void put_eight(char* out, std::uint64_t digits) {
  digits += kZeros;
  std::memcpy(out, &digits, sizeof digits);
}

char* write_whole(char* out, std::uint64_t value) {
  if (value < 1000) {
    const auto small = static_cast<std::uint32_t>(value);
    if (small >= 100) *out++ = static_cast<char>('0' + small / 100);
    if (small >= 10) *out++ = static_cast<char>('0' + small / 10 % 10);
    *out++ = static_cast<char>('0' + small % 10);
    return out;
  }
  char digits[20];
  char* const end = digits + sizeof digits;
  char* at = end;
  for (; value != 0; value /= 10) *--at = static_cast<char>('0' + value % 10);
  std::memcpy(out, at, static_cast<std::size_t>(end - at));
  return out + (end - at);
}

constexpr int kMostDigits = 17;

// `count` digits, leading zeros included, without the zeros at their end.
char* write_fraction(char* out, std::uint64_t value, int count) {
  while (count > kMostDigits) {  // value < 10^17
    *out++ = '0';
    --count;
  }
  value *= kTens[static_cast<std::size_t>(kMostDigits - count)];
  const std::uint64_t upper = value / k1e8;  // 9 digits
  const std::uint64_t first = eight_digits(upper / 10);
  const std::uint64_t ninth = upper % 10;
  const std::uint64_t last = eight_digits(value % k1e8);
  put_eight(out, first);
  out[8] = static_cast<char>('0' + ninth);
  put_eight(out + 9, last);
  if (last != 0) return out + 17 - std::countl_zero(last) / 8;
  return ninth != 0 ? out + 9 : out + 8 - std::countl_zero(first) / 8;
}

}  // namespace

char* write_shortest_double(double value, char* out) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  if ((bits >> 63) != 0) *out++ = '-';
  const std::uint64_t c = (bits & ((std::uint64_t{1} << 52) - 1)) | std::uint64_t{1} << 52;
  const int q = static_cast<int>((bits >> 52) & 0x7FF) - 1075;
  const Decimal decimal = shortest(c, q);
  // No whole number lies between the value and its digits: it would be the shorter one.
  const std::uint64_t whole = q > -64 ? c >> -q : 0;
  const int fraction = -decimal.exponent;  // digits behind the point, zeros at the end included
  const std::uint64_t rest =
      whole == 0 ? decimal.digits
                 : decimal.digits - whole * kTens[static_cast<std::size_t>(fraction)];
  out = write_whole(out, whole);
  *out++ = '.';
  return write_fraction(out, rest, fraction);
}

}  // namespace tidemill
