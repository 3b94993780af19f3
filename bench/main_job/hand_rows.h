// The hand loop's output: numbers, times and texts as JSON, and files of rows.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "bench/main_job/hand_input.h"

namespace tidemill::hand {

constexpr std::int64_t ceil_to(std::int64_t t, std::int64_t step) {
  const std::int64_t up = t + step - 1;
  return up - ((up % step) + step) % step;
}
constexpr std::int64_t floor_to(std::int64_t t, std::int64_t step) {
  return t - ((t % step) + step) % step;
}

inline char* put_digits(char* out, std::uint64_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return out + digits;
}

// "2026-01-01T00:00:00.123Z" with quotes; the date is kept from call to call.
inline char* put_time(char* out, std::int64_t ms) {
  static std::int64_t last_day = kMin;
  static char date[10];
  const std::int64_t day = floor_to(ms, 86'400'000) / 86'400'000;
  if (day != last_day) {
    last_day = day;
    const std::int64_t z = day + 719468;
    const std::int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    const auto doe = static_cast<unsigned>(z - era * 146097);
    const unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const unsigned mp = (5 * doy + 2) / 153;
    const unsigned month = mp < 10 ? mp + 3 : mp - 9;
    const std::int64_t year = static_cast<std::int64_t>(yoe) + era * 400 + (month <= 2 ? 1 : 0);
    char* at = put_digits(date, static_cast<std::uint64_t>(year), 4);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    put_digits(at, doy - (153 * mp + 2) / 5 + 1, 2);
  }
  const auto of_day = static_cast<std::uint64_t>(ms - day * 86'400'000);
  *out++ = '"';
  std::memcpy(out, date, sizeof date);
  out += sizeof date;
  *out++ = 'T';
  out = put_digits(out, of_day / 3'600'000, 2);
  *out++ = ':';
  out = put_digits(out, of_day / 60'000 % 60, 2);
  *out++ = ':';
  out = put_digits(out, of_day / 1000 % 60, 2);
  *out++ = '.';
  out = put_digits(out, of_day % 1000, 3);
  *out++ = 'Z';
  *out++ = '"';
  return out;
}

inline char* put(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}
inline char* put(char* out, std::int64_t value) { return std::to_chars(out, out + 24, value).ptr; }
inline char* put(char* out, double value) {
  const double magnitude = std::abs(value);
  if (magnitude < 0x1p53 && std::trunc(value) == value)
    return put(out, static_cast<std::int64_t>(value));
  if (magnitude < 1e-6 || magnitude >= 0x1p53)
    fail("an average is out of range", std::to_string(value));
  return std::to_chars(out, out + 32, value, std::chars_format::fixed).ptr;
}

inline std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) fail("a text has a control character", out);
    out += c;
  }
  return out + '"';
}

inline std::uint32_t murmur2(std::string_view key) {
  constexpr std::uint32_t kMultiplier = 0x5bd1e995;
  std::uint32_t h = 0x9747b28cu ^ static_cast<std::uint32_t>(key.size());
  std::size_t i = 0;
  for (; i + 4 <= key.size(); i += 4) {
    std::uint32_t k = 0;
    std::memcpy(&k, key.data() + i, 4);
    k *= kMultiplier;
    k ^= k >> 24;
    k *= kMultiplier;
    h = (h * kMultiplier) ^ k;
  }
  const std::size_t left = key.size() - i;
  if (left > 2) h ^= static_cast<std::uint32_t>(static_cast<unsigned char>(key[i + 2])) << 16;
  if (left > 1) h ^= static_cast<std::uint32_t>(static_cast<unsigned char>(key[i + 1])) << 8;
  if (left > 0) {
    h ^= static_cast<unsigned char>(key[i]);
    h *= kMultiplier;
  }
  h ^= h >> 13;
  h *= kMultiplier;
  return h ^ (h >> 15);
}

class RowFile {
 public:
  explicit RowFile(const fs::path& folder) {
    fs::create_directories(folder);
    const fs::path path = folder / "00000000000000000000.jsonl";
    fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd_ < 0) fail("cannot create", path.string());
  }
  RowFile(const RowFile&) = delete;
  RowFile& operator=(const RowFile&) = delete;
  ~RowFile() {
    flush();
    ::close(fd_);
  }
  // Room for a row of at most `size` bytes.
  char* room(std::size_t size) {
    if (used_ + size > buffer_.size()) flush();
    return buffer_.data() + used_;
  }
  void end(const char* at) { used_ = static_cast<std::size_t>(at - buffer_.data()); }

 private:
  void flush() {
    for (std::size_t done = 0; done < used_;) {
      const ssize_t n = ::write(fd_, buffer_.data() + done, used_ - done);
      if (n < 0) fail("cannot write", std::strerror(errno));
      done += static_cast<std::size_t>(n);
    }
    used_ = 0;
  }
  int fd_ = -1;
  std::vector<char> buffer_ = std::vector<char>(256 * 1024);
  std::size_t used_ = 0;
};

}  // namespace tidemill::hand
