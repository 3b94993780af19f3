#include "connectors/formats/json_writer.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "connectors/formats/iso_time.h"

namespace tidemill {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
constexpr std::uint64_t kHighs = 0x8080808080808080ULL;

constexpr std::uint64_t zero_bytes(std::uint64_t word) { return (word - kOnes) & ~word & kHighs; }

// True if none of eight bytes needs care: printable ASCII but for the quote and the backslash. May
// err towards care.
bool is_plain(std::uint64_t word) {
  const std::uint64_t control = (word - kOnes * 0x20) & kHighs;
  return ((word & kHighs) | control | zero_bytes(word ^ (kOnes * '"')) |
          zero_bytes(word ^ (kOnes * '\\'))) == 0;
}

bool is_plain(char c) {
  const auto byte = static_cast<std::uint8_t>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

// Length of the well-formed UTF-8 sequence at the front (Unicode table 3-7), or 0.
std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0};
  };
  const auto within = [&](std::size_t i, std::uint8_t low, std::uint8_t high) {
    return byte(i) >= low && byte(i) <= high;
  };
  const std::uint8_t lead = byte(0);
  if (lead >= 0xC2 && lead <= 0xDF) return within(1, 0x80, 0xBF) ? 2 : 0;
  if ((lead & 0xF0) == 0xE0) {
    const std::uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;
    const std::uint8_t high = lead == 0xED ? 0x9F : 0xBF;  // no surrogates
    return within(1, low, high) && within(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const std::uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
    const std::uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;
    return within(1, low, high) && within(2, 0x80, 0xBF) && within(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

void append_escape(std::string& out, char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    default: break;
  }
  out += "\\u00";
  out += kHex[static_cast<std::uint8_t>(c) >> 4];
  out += kHex[static_cast<std::uint8_t>(c) & 15];
}

std::size_t plain_prefix(std::string_view text) {
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, sizeof word);
    if (!is_plain(word)) break;
  }
  while (i < text.size() && is_plain(text[i])) ++i;
  return i;
}

// The same for a whole text, with overlapping words at its end in place of single letters.
bool is_all_plain(std::string_view text) {
  const std::size_t size = text.size();
  if (size < 4) return plain_prefix(text) == size;
  const auto half_at = [&](std::size_t i) {
    std::uint32_t half = 0;
    std::memcpy(&half, text.data() + i, sizeof half);
    return std::uint64_t{half};
  };
  if (size < 8) return is_plain(half_at(0) << 32 | half_at(size - 4));
  const auto word_at = [&](std::size_t i) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, sizeof word);
    return word;
  };
  for (std::size_t i = 0; i + 8 < size; i += 8) {
    if (!is_plain(word_at(i))) return false;
  }
  return is_plain(word_at(size - 8));
}

// Takes `d.ddde±xx` apart and prints the digits with the point where ECMAScript's Number::toString
// puts it.
void append_from_scientific(std::string& out, const char* begin, const char* end) {
  if (*begin == '-') out += *begin++;
  const char* e = std::find(begin, end, 'e');
  int exponent = 0;
  std::from_chars(e[1] == '+' ? e + 2 : e + 1, end, exponent);
  std::string digits(begin, e);  // 17 digits and a point at most; such values are rare
  if (digits.size() > 1) digits.erase(1, 1);

  const int count = static_cast<int>(digits.size());
  if (exponent >= 0 && exponent < 21) {
    out.append(digits, 0, static_cast<std::size_t>(std::min(count, exponent + 1)));
    if (count <= exponent + 1) {
      out.append(static_cast<std::size_t>(exponent + 1 - count), '0');
    } else {
      out += '.';
      out.append(digits, static_cast<std::size_t>(exponent + 1));
    }
    return;
  }
  out += digits[0];
  if (count > 1) {
    out += '.';
    out.append(digits, 1);
  }
  out += exponent < 0 ? "e-" : "e+";
  append_json(out, static_cast<std::int64_t>(std::abs(exponent)));
}

template <class M>
void append_slot(std::string& out, const void* member, bool is_optional) {
  if (!is_optional) {
    append_json(out, *static_cast<const M*>(member));
    return;
  }
  const auto& value = *static_cast<const std::optional<M>*>(member);
  if (value) {
    append_json(out, *value);
  } else {
    append_json(out, nullptr);
  }
}

}  // namespace

void append_json(std::string& out, std::string_view text) {
  out += '"';
  if (is_all_plain(text)) {
    out.append(text);
    out += '"';
    return;
  }
  for (std::size_t plain = plain_prefix(text);; plain = plain_prefix(text)) {
    out.append(text.data(), plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    if (static_cast<std::uint8_t>(text[0]) < 0x80) {
      append_escape(out, text[0]);
      text.remove_prefix(1);
      continue;
    }
    const std::size_t length = utf8_sequence(text);
    out += length == 0 ? kReplacement : text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(1, length));
  }
  out += '"';
}

char* write_json(char* out, std::string_view text) {
  if (is_all_plain(text)) {
    *out++ = '"';
    std::memcpy(out, text.data(), text.size());
    out += text.size();
    *out++ = '"';
    return out;
  }
  std::string escaped;
  append_json(escaped, text);
  std::memcpy(out, escaped.data(), escaped.size());
  return out + escaped.size();
}

char* write_json(char* out, std::int64_t value) {
  return std::to_chars(out, out + kMaxJsonNumber, value).ptr;
}

char* write_json(char* out, double value) {
  if (!std::isfinite(value)) {
    std::memcpy(out, "null", 4);
    return out + 4;
  }
  const double magnitude = std::abs(value);
  if (magnitude < kExactIntegers && std::trunc(value) == value)
    return write_json(out, static_cast<std::int64_t>(value));
  // Between these bounds the point lies within or just before the digits, so the fixed form is the
  // short one and fits.
  if (magnitude >= 1e-6 && magnitude < kExactIntegers)
    return std::to_chars(out, out + kMaxJsonNumber, value, std::chars_format::fixed).ptr;
  char text[kMaxJsonNumber];
  std::string moved;
  append_from_scientific(
      moved, text,
      std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr);
  std::memcpy(out, moved.data(), moved.size());
  return out + moved.size();
}

char* write_json(char* out, EventTime time) {
  *out++ = '"';
  out = write_iso_time(time, out);
  *out++ = '"';
  return out;
}

void append_json(std::string& out, std::int64_t value) {
  char text[kMaxJsonNumber];
  out.append(text, write_json(text, value));
}

void append_json(std::string& out, std::uint64_t value) {
  char text[20];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

void append_json(std::string& out, double value) {
  char text[kMaxJsonNumber];
  out.append(text, write_json(text, value));
}

void append_json(std::string& out, EventTime time) {
  char text[kMaxJsonTime];
  out.append(text, write_json(text, time));
}

JsonRowWriter::JsonRowWriter(std::vector<JsonSlot> slots) : slots_(std::move(slots)) {
  for (const JsonSlot& slot : slots_) {
    std::string prefix = prefixes_.empty() ? "{" : ",";
    append_json(prefix, std::string_view(slot.name));
    prefix += ':';
    prefixes_.push_back(std::move(prefix));
  }
}

void JsonRowWriter::append(const void* row, std::string& out) const {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    out += prefixes_[i];
    const JsonSlot& slot = slots_[i];
    const void* member = static_cast<const char*>(row) + slot.offset;
    switch (slot.kind) {
      case JsonKind::kBool: append_slot<bool>(out, member, slot.is_optional); break;
      case JsonKind::kInt64: append_slot<std::int64_t>(out, member, slot.is_optional); break;
      case JsonKind::kUint64: append_slot<std::uint64_t>(out, member, slot.is_optional); break;
      case JsonKind::kDouble: append_slot<double>(out, member, slot.is_optional); break;
      case JsonKind::kString: append_slot<std::string>(out, member, slot.is_optional); break;
      case JsonKind::kEventTime: append_slot<EventTime>(out, member, slot.is_optional); break;
    }
  }
  out += slots_.empty() ? "{}" : "}";
}

}  // namespace tidemill
