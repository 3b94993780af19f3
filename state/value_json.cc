#include "state/value_json.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "engine/base/time.h"
#include "state/codec.h"
#include "state/value_parts_internal.h"

namespace tidemill {
namespace {

using Kind = StoredType::Kind;

constexpr std::int64_t kMostExact = std::int64_t{1} << 53;  // of a JSON number in most readers
constexpr std::size_t kDeepestValue = 1000;

std::string decimal(unsigned __int128 value) {
  std::string text;
  do {
    text.insert(text.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
    value /= 10;
  } while (value > 0);
  return text;
}
std::string decimal(__int128 value) {
  return value < 0 ? "-" + decimal(-static_cast<unsigned __int128>(value))
                   : decimal(static_cast<unsigned __int128>(value));
}

std::string number_json(__int128 value) {
  if (value > kMostExact || value < -kMostExact) return "\"" + decimal(value) + "\"";
  return decimal(value);
}

std::string float_json(double value, int digits) {
  if (std::isnan(value)) return "\"NaN\"";
  if (std::isinf(value)) return value < 0 ? "\"-Infinity\"" : "\"Infinity\"";
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%.*g", digits, value);
  return text.data();
}

std::string time_json(std::int64_t ms) {
  if (ms == EventTime::min().ms) return "\"-Infinity\"";
  if (ms == EventTime::max().ms) return "\"Infinity\"";
  return number_json(ms);
}

void append_hex(std::string& out, ByteView bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  for (const char c : bytes) {
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
}

// The length of the UTF-8 character at the front; 0: none.
std::size_t utf8_length(ByteView text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, beyond Unicode.
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
      (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F))
    return 0;
  return length;
}

bool is_utf8(ByteView text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

class Renderer {
 public:
  Renderer(std::string& out, ByteReader& in) : out_(out), in_(in) {}

  void value(const StoredType& type) {
    if (++depth_ > kDeepestValue)
      throw Error(ErrorCode::kCorrupt, "stored value is nested too deeply");
    switch (type.kind) {
      case Kind::kBool: out_ += in_.u8() != 0 ? "true" : "false"; break;
      case Kind::kNumber:
      case Kind::kEnum:
        if (type.width == 16 && !type.is_signed) {
          out_ += "\"" + decimal(Codec<unsigned __int128>::decode(in_)) + "\"";
        } else {
          out_ += number_json(read_integer(type, in_));
        }
        break;
      case Kind::kFloat:
        out_ += type.width == 4 ? float_json(Codec<float>::decode(in_), 9)
                                : float_json(Codec<double>::decode(in_), 17);
        break;
      case Kind::kEventTime: out_ += time_json(unzigzag(in_.varint())); break;
      case Kind::kDuration: out_ += number_json(unzigzag(in_.varint())); break;
      case Kind::kText: append_json_text(out_, in_.sized()); break;
      case Kind::kOptional:
        if (in_.u8() == 0) {
          out_ += "null";
        } else {
          value(type.parts[0].type);
        }
        break;
      case Kind::kTuple:
        list(type.parts.size(), [&](std::size_t i) { value(type.parts[i].type); });
        break;
      case Kind::kArray: {
        if (type.count > in_.size() && type.count > 1024)
          throw Error(ErrorCode::kCorrupt, "stored bytes are truncated: array");
        list(static_cast<std::size_t>(type.count), [&](std::size_t) { value(type.parts[0].type); });
        break;
      }
      case Kind::kVector:
      case Kind::kSet:
        list(codec::read_count(in_), [&](std::size_t) { value(type.parts[0].type); });
        break;
      case Kind::kMap: map(type); break;
      case Kind::kStruct: object(type); break;
      case Kind::kOwn:
        if (type.layout.empty()) {
          opaque(type);
        } else {
          value(type.layout.front());
        }
        break;
      case Kind::kRecord: fields(type, type.parts.size()); break;
      case Kind::kExactSum: exact_sum(); break;
      case Kind::kShown: throw Error(ErrorCode::kCorrupt, "stored type is damaged: no layout");
      case Kind::kSelf: itself(type); break;
      case Kind::kTail: tail(type); break;
    }
    --depth_;
  }

 private:
  template <class F>
  void list(std::size_t count, F&& element) {
    out_ += '[';
    for (std::size_t i = 0; i < count && !is_opaque_; ++i) {
      if (i > 0) out_ += ',';
      element(i);
    }
    out_ += ']';
  }
  void map(const StoredType& type) {
    const std::size_t count = codec::read_count(in_);
    const StoredType& key = type.parts[0].type;
    if (!is_plain(key.kind)) {
      list(count, [&](std::size_t) { list(2, [&](std::size_t i) { value(type.parts[i].type); }); });
      return;
    }
    out_ += '{';
    for (std::size_t i = 0; i < count && !is_opaque_; ++i) {
      if (i > 0) out_ += ',';
      const std::size_t begin = out_.size();
      value(key);
      if (out_[begin] != '"') {
        out_.insert(begin, 1, '"');
        out_ += '"';
      }
      out_ += ':';
      value(type.parts[1].type);
    }
    out_ += '}';
  }
  void object(const StoredType& type) {
    const std::size_t fields = codec::read_fields(in_, type.parts.size());
    around_.push_back(&type);
    this->fields(type, fields);
    around_.pop_back();
  }
  void fields(const StoredType& type, std::size_t count) {
    out_ += '{';
    for (std::size_t i = 0; i < count && !is_opaque_; ++i) {
      if (i > 0) out_ += ',';
      append_json_text(out_, type.parts[i].id);
      out_ += ':';
      value(type.parts[i].type);
    }
    out_ += '}';
  }
  // [2 x bytes + (1: not finite)][place of the lowest byte][bytes of a signed number, lowest first]
  // [counts of NaN, infinity, -infinity]: operators/exact_sum.h. To the precision of a double.
  void exact_sum() {
    const std::uint64_t header = in_.varint();
    double sum = 0;
    if (header / 2 > 0) {
      const std::int64_t lowest = unzigzag(in_.varint());
      const ByteView bytes = in_.take(static_cast<std::size_t>(header / 2));
      // The highest of them say what a double can hold.
      constexpr std::size_t kTaken = 15;
      const std::size_t skipped = bytes.size() > kTaken ? bytes.size() - kTaken : 0;
      __int128 units = static_cast<std::int8_t>(bytes.back());
      for (std::size_t i = bytes.size() - 1; i > skipped; --i)
        units = units * 256 + static_cast<unsigned char>(bytes[i - 1]);
      const std::int64_t power = 8 * (lowest + static_cast<std::int64_t>(skipped));
      sum = std::ldexp(static_cast<double>(units),
                       static_cast<int>(std::clamp<std::int64_t>(power, -100'000, 100'000)));
    }
    if (header % 2 != 0) {
      const bool has_nan = unzigzag(in_.varint()) != 0;
      const bool has_positive = unzigzag(in_.varint()) != 0;
      const bool has_negative = unzigzag(in_.varint()) != 0;
      constexpr double kInfinity = std::numeric_limits<double>::infinity();
      if (has_nan || (has_positive && has_negative)) {
        sum = std::numeric_limits<double>::quiet_NaN();
      } else if (has_positive || has_negative) {
        sum = has_positive ? kInfinity : -kInfinity;
      }
    }
    out_ += float_json(sum, 17);
  }
  void itself(const StoredType& type) {
    if (type.count > around_.size())
      throw Error(ErrorCode::kCorrupt, "stored type is damaged: part of what is not there");
    const auto outer = around_.end() - static_cast<std::ptrdiff_t>(type.count);
    const std::vector<const StoredType*> inner(outer, around_.end());
    around_.erase(outer, around_.end());
    object(*inner.front());
    around_.insert(around_.end(), inner.begin(), inner.end());
  }
  void tail(const StoredType& type) {
    const std::size_t begin = out_.size();
    value(type.parts[0].type);
    if (in_.empty()) return;
    out_.insert(begin, "{\"value\":");
    out_ += ",\"more\":";
    list(type.parts.size() - 1, [&](std::size_t i) {
      if (in_.empty()) {
        out_ += "null";
      } else {
        value(type.parts[i + 1].type);
      }
    });
    out_ += '}';
  }
  void opaque(const StoredType& type) {
    out_ += "{\"type\":";
    append_json_text(out_, to_text(type));
    out_ += ",\"hex\":\"";
    append_hex(out_, in_.take(in_.size()));
    out_ += "\"}";
    is_opaque_ = true;  // where it ends, nobody here knows
  }

  std::string& out_;
  ByteReader& in_;
  std::vector<const StoredType*> around_;
  std::size_t depth_ = 0;
  bool is_opaque_ = false;
};

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
  if (!is_utf8(text)) {
    out += "{\"hex\":\"";
    append_hex(out, text);
    out += "\"}";
    return;
  }
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          std::array<char, 8> escape{};
          std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
          out += escape.data();
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

std::string value_json(const StoredType& type, ByteReader& in) {
  std::string out;
  Renderer(out, in).value(type);
  return out;
}

std::string value_json(const StoredType& type, ByteView bytes) {
  ByteReader in(bytes);
  std::string out = value_json(type, in);
  if (!in.empty())
    throw Error(ErrorCode::kCorrupt, "stored value is longer than its type: " +
                                         std::to_string(in.size()) + " bytes left over");
  return out;
}

}  // namespace tidemill
