#include "connectors/formats/json_plain.h"

#include <bit>
#include <cstring>
#include <optional>

#include "connectors/formats/iso_time.h"
#include "connectors/formats/utf8.h"
#include "engine/base/time.h"

namespace tidemill {
namespace {

constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
constexpr std::uint64_t kHighs = 0x8080808080808080ULL;
constexpr int kMostDigits = 15;  // below 2^53
constexpr std::array<double, kMostDigits + 1> kTens{1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

std::uint64_t load(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// The high bit of each byte that ends the plain part of a text: a quote, a backslash, a control
// character. The lowest one is right, others above it need not be.
constexpr std::uint64_t ends(std::uint64_t word) {
  const auto zeros = [](std::uint64_t w) { return (w - kOnes) & ~w & kHighs; };
  return ((word - kOnes * 0x20) & ~word & kHighs) | zeros(word ^ (kOnes * '"')) |
         zeros(word ^ (kOnes * '\\'));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// What follows reads at `at`, moves it behind what was read, and may run past the record: who calls
// sees that by where it has come.
struct Cursor {
  const char* at;
  const char* end;

  bool text(std::string_view& content) {
    if (*at != '"') return false;
    const char* const begin = ++at;
    std::uint64_t highs = 0;
    while (at < end) {
      const std::uint64_t word = load(at);
      const std::uint64_t found = ends(word);
      highs |= word & kHighs;
      if (found == 0) {
        at += sizeof word;
        continue;
      }
      at += std::countr_zero(found) / 8;
      if (at >= end || *at != '"') return false;
      content = {begin, static_cast<std::size_t>(at - begin)};
      ++at;
      return highs == 0 || is_utf8(content);
    }
    return false;
  }

  // Digits of a number, at most as many as fit; no zero in front of others.
  bool digits(std::uint64_t& value, int& count) {
    const char* const begin = at;
    for (; is_digit(*at); ++at) {
      if (at - begin == kMostDigits) return false;
      value = value * 10 + static_cast<std::uint64_t>(*at - '0');
    }
    count = static_cast<int>(at - begin);
    return count > 0;
  }

  bool real(double& out) {
    const bool is_negative = *at == '-';
    if (is_negative) ++at;
    const char first = *at;
    std::uint64_t value = 0;
    int before = 0;
    if (!digits(value, before) || (first == '0' && before > 1)) return false;
    int behind = 0;
    if (*at == '.') {
      ++at;
      if (!digits(value, behind) || before + behind > kMostDigits) return false;
    }
    // Both are exact, so the quotient is rounded once, as it is to be.
    const double magnitude = static_cast<double>(value) / kTens[static_cast<std::size_t>(behind)];
    out = is_negative ? -magnitude : magnitude;
    return true;
  }

  bool natural(std::uint64_t& out) {
    const char first = *at;
    out = 0;
    int count = 0;
    return digits(out, count) && (first != '0' || count == 1);
  }
  bool integer(std::int64_t& out) {
    const bool is_negative = *at == '-';
    if (is_negative) ++at;
    std::uint64_t magnitude = 0;
    if (!natural(magnitude)) return false;
    out =
        is_negative ? -static_cast<std::int64_t>(magnitude) : static_cast<std::int64_t>(magnitude);
    return true;
  }

  bool time(EventTime& out) {
    if (*at != '"') return integer(out.ms);
    std::string_view content;
    if (!text(content)) return false;
    const std::optional<EventTime> read = parse_iso_time(content);
    if (read) out = *read;
    return read.has_value();
  }

  bool word(std::string_view wanted) {
    if (std::memcmp(at, wanted.data(), wanted.size()) != 0) return false;
    at += wanted.size();
    return true;
  }
  bool truth(bool& out) {
    out = *at == 't';
    return word(out ? "true" : "false");
  }

  bool value(JsonKind kind, char* member) {
    switch (kind) {
      case JsonKind::kBool: return truth(*reinterpret_cast<bool*>(member));
      case JsonKind::kInt64: return integer(*reinterpret_cast<std::int64_t*>(member));
      case JsonKind::kUint64: return natural(*reinterpret_cast<std::uint64_t*>(member));
      case JsonKind::kDouble: return real(*reinterpret_cast<double*>(member));
      case JsonKind::kEventTime: return time(*reinterpret_cast<EventTime*>(member));
      case JsonKind::kString: {
        std::string_view content;
        if (!text(content)) return false;
        reinterpret_cast<std::string*>(member)->assign(content);
        return true;
      }
    }
    return false;
  }
};

}  // namespace

PlainJson::PlainJson(const std::vector<JsonSlot>& slots) {
  for (const JsonSlot& slot : slots) {
    const std::string text = (fields_.empty() ? "{\"" : ",\"") + slot.name + "\":";
    bool is_plain = text.size() <= kWords * sizeof(std::uint64_t) && !slot.is_optional;
    for (const char c : slot.name) is_plain &= c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
    if (!is_plain) {
      fields_.clear();
      return;
    }
    Field& field = fields_.emplace_back();
    field.size = text.size();
    field.kind = slot.kind;
    field.offset = slot.offset;
    const std::string ones(text.size(), '\xFF');
    std::memcpy(field.text.data(), text.data(), text.size());
    std::memcpy(field.mask.data(), ones.data(), ones.size());
  }
}

bool PlainJson::Field::is_at(const char* at) const {
  for (std::size_t i = 0; i * sizeof(std::uint64_t) < size; ++i) {
    if (((load(at + i * sizeof(std::uint64_t)) ^ text[i]) & mask[i]) != 0) return false;
  }
  return true;
}

bool PlainJson::read(std::string_view record, char* row) const {
  if (fields_.empty()) return false;
  Cursor cursor{record.data(), record.data() + record.size()};
  for (const Field& field : fields_) {
    if (cursor.at >= cursor.end || !field.is_at(cursor.at)) return false;
    cursor.at += field.size;
    if (cursor.at >= cursor.end || !cursor.value(field.kind, row + field.offset)) return false;
  }
  return *cursor.at == '}' && cursor.at + 1 == cursor.end;
}

}  // namespace tidemill
