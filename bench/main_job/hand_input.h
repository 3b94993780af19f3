// The hand loop's input: lines of a file log, and what is in them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <limits>
#include <simdjson.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tidemill::hand {

namespace fs = std::filesystem;
namespace ondemand = simdjson::ondemand;

constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

[[noreturn]] inline void fail(const char* what, const std::string& detail) {
  std::fprintf(stderr, "hand_loop: %s: %s\n", what, detail.c_str());
  std::exit(1);
}

inline std::int64_t days_from_civil(std::int64_t y, unsigned m, unsigned d) {
  y -= m <= 2 ? 1 : 0;
  const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
  const auto yoe = static_cast<unsigned>(y - era * 400);
  const unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
  const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<std::int64_t>(doe) - 719468;
}

// YYYY-MM-DDTHH:MM:SS[.mmm]Z, which is all that the generator writes.
inline bool parse_time(std::string_view s, std::int64_t& ms) {
  const auto two = [&](std::size_t i) {
    return static_cast<unsigned>((s[i] - '0') * 10 + (s[i + 1] - '0'));
  };
  if ((s.size() != 20 && s.size() != 24) || s[4] != '-' || s[7] != '-' || s[10] != 'T' ||
      s[13] != ':' || s[16] != ':' || s.back() != 'Z')
    return false;
  constexpr std::size_t kDigits[] = {0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18};
  for (const std::size_t i : kDigits) {
    if (s[i] < '0' || s[i] > '9') return false;
  }
  const unsigned year = two(0) * 100 + two(2);
  const unsigned month = two(5);
  const unsigned day = two(8);
  const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (month < 1 || month > 12 || day < 1 ||
      day > kDays[month - 1] + (month == 2 && is_leap ? 1 : 0) || two(11) > 23 || two(14) > 59 ||
      two(17) > 59)
    return false;
  unsigned millis = 0;
  if (s.size() == 24) {
    if (s[19] != '.') return false;
    for (std::size_t i = 20; i < 23; ++i) {
      if (s[i] < '0' || s[i] > '9') return false;
      millis = millis * 10 + static_cast<unsigned>(s[i] - '0');
    }
  }
  ms = ((days_from_civil(year, month, day) * 24 + two(11)) * 60 + two(14)) * 60 + two(17);
  ms = ms * 1000 + millis;
  return true;
}

struct Event {
  std::string_view user, action;
  double value = 0;
  std::int64_t time = 0;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
};

class Decoder {
 public:
  // The views hold until the next call.
  bool decode(std::string_view line, Event& out) {
    ondemand::document document;
    ondemand::object object;
    if (line.empty() || parser_.iterate(line.data(), line.size(), line.size() + 64).get(document) ||
        document.get_object().get(object))
      return false;
    unsigned seen = 0;
    for (auto item : object) {
      ondemand::field field;
      std::string_view name;
      if (std::move(item).get(field) || field.unescaped_key().get(name)) return false;
      ondemand::value value = field.value();
      bool is_good = true;
      if (name == "user_id") {
        seen |= 1;
        is_good = !value.get_string().get(out.user);
      } else if (name == "action") {
        seen |= 2;
        is_good = !value.get_string().get(out.action);
      } else if (name == "value") {
        seen |= 4;
        is_good = !value.get_double().get(out.value);
      } else if (name == "timestamp") {
        seen |= 8;
        std::string_view text;
        is_good = !value.get_int64().get(out.time) ||
                  (!value.get_string().get(text) && parse_time(text, out.time));
      }
      if (!is_good) return false;
    }
    return seen == 15;
  }

 private:
  ondemand::parser parser_;
};

class Partition {
 public:
  explicit Partition(const fs::path& folder) {
    for (const auto& entry : fs::directory_iterator(folder)) files_.push_back(entry.path());
    std::sort(files_.begin(), files_.end(), std::greater<>());
  }
  // The view holds until the next call; 64 bytes behind it may be read.
  bool next(std::string_view& line) {
    while (true) {
      const char* begin = bytes_.data() + at_;
      if (const void* newline = std::memchr(begin, '\n', end_ - at_)) {
        line = {begin, static_cast<std::size_t>(static_cast<const char*>(newline) - begin)};
        at_ += line.size() + 1;
        ++offset;
        return true;
      }
      if (!fill()) return false;
    }
  }
  std::int64_t offset = 0;  // of the next line
  std::int64_t greatest = kMin;
  bool is_finished = false;

 private:
  bool fill() {
    std::memmove(bytes_.data(), bytes_.data() + at_, end_ - at_);
    end_ -= std::exchange(at_, 0);
    if (end_ + 64 >= bytes_.size()) fail("a line is too long", std::to_string(offset));
    while (true) {
      if (fd_ >= 0) {
        const ssize_t n = ::read(fd_, bytes_.data() + end_, bytes_.size() - 64 - end_);
        if (n < 0) fail("cannot read", std::strerror(errno));
        end_ += static_cast<std::size_t>(n);
        if (n > 0) return true;
        ::close(std::exchange(fd_, -1));
      }
      if (files_.empty()) return false;
      fd_ = ::open(files_.back().c_str(), O_RDONLY);
      if (fd_ < 0) fail("cannot open", files_.back().string());
      files_.pop_back();
    }
  }

  std::vector<fs::path> files_;  // not begun, the next one last
  int fd_ = -1;
  std::vector<char> bytes_ = std::vector<char>(256 * 1024);
  std::size_t at_ = 0;
  std::size_t end_ = 0;
};

}  // namespace tidemill::hand
