#include "state/value_json.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/time.h"
#include "state/codec.h"
#include "state/key_encoding.h"

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

// Signed and unsigned integers as Codec writes them.
__int128 read_integer(const StoredType& type, ByteReader& in) {
  if (type.width == 16) {
    const auto value = Codec<unsigned __int128>::decode(in);
    return static_cast<__int128>(value);
  }
  if (type.width == 1) {
    const std::uint8_t byte = in.u8();
    return type.is_signed ? static_cast<std::int8_t>(byte) : byte;
  }
  const std::uint64_t raw = in.varint();
  return type.is_signed ? __int128{unzigzag(raw)} : __int128{raw};
}

bool is_plain(Kind kind) {
  return kind == Kind::kText || kind == Kind::kNumber || kind == Kind::kEnum ||
         kind == Kind::kBool || kind == Kind::kEventTime || kind == Kind::kDuration;
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
      case Kind::kOwn: opaque(type); break;
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
    out_ += '{';
    for (std::size_t i = 0; i < fields && !is_opaque_; ++i) {
      if (i > 0) out_ += ',';
      append_json_text(out_, type.parts[i].id);
      out_ += ':';
      value(type.parts[i].type);
    }
    out_ += '}';
    around_.pop_back();
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

// Reads the text of a key: a piece of JSON, or at the outermost level a bare word.
class KeyParser {
 public:
  KeyParser(std::string_view text, const StoredType& whole)
      : rest_(text), text_(text), whole_(whole) {}

  Bytes parse() {
    Bytes out;
    switch (whole_.kind) {
      case Kind::kText: append_sized(out, text_); return out;
      case Kind::kEventTime:
      case Kind::kDuration:
      case Kind::kNumber:
      case Kind::kEnum:
      case Kind::kBool: scalar(whole_, text_, out); return out;
      default: break;
    }
    part(whole_, out);
    blanks();
    if (!rest_.empty()) fail();
    return out;
  }

 private:
  [[noreturn]] void fail() const {
    throw Error(
        ErrorCode::kConfig,
        "the key is no " + to_text(whole_) +
            (is_plain(whole_.kind) ? "" : " (written as JSON: [\"a\",5] or {\"field\":1})") + ": " +
            std::string(text_));
  }
  void blanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n'))
      rest_.remove_prefix(1);
  }
  bool accept(char c) {
    blanks();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail();
  }
  std::string_view word() {
    blanks();
    const std::size_t end = std::min(rest_.find_first_of(",]} \n"), rest_.size());
    const std::string_view found = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return found;
  }
  std::string quoted() {
    expect('"');
    std::string out;
    while (!rest_.empty() && rest_.front() != '"') {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '\\') {
        if (rest_.empty()) fail();
        c = rest_.front();
        rest_.remove_prefix(1);
        switch (c) {
          case 'n': c = '\n'; break;
          case 't': c = '\t'; break;
          case 'r': c = '\r'; break;
          case 'b': c = '\b'; break;
          case 'f': c = '\f'; break;
          case '"':
          case '\\':
          case '/': break;
          default: fail();
        }
      }
      out += c;
    }
    expect('"');
    return out;
  }
  void scalar(const StoredType& type, std::string_view text, Bytes& out) {
    if (text.size() > 1 && text.front() == '"' && text.back() == '"')
      text = text.substr(1, text.size() - 2);
    if (type.kind == Kind::kBool) {
      if (text != "true" && text != "false") fail();
      append_u8(out, text == "true" ? 1 : 0);
      return;
    }
    const bool is_time = type.kind == Kind::kEventTime || type.kind == Kind::kDuration;
    const int bits = is_time ? 64 : type.width * 8;
    if (is_time || type.is_signed) {
      std::int64_t value = 0;
      const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc() || at != text.data() + text.size() || bits > 64) fail();
      if (bits < 64 &&
          (value >= (std::int64_t{1} << (bits - 1)) || value < -(std::int64_t{1} << (bits - 1))))
        fail();
      if (bits == 8) {
        append_u8(out, static_cast<std::uint8_t>(value));
      } else {
        append_varint(out, zigzag(value));
      }
    } else {
      std::uint64_t value = 0;
      const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc() || at != text.data() + text.size() || bits > 64) fail();
      if (bits < 64 && value >> bits != 0) fail();
      if (bits == 8) {
        append_u8(out, static_cast<std::uint8_t>(value));
      } else {
        append_varint(out, value);
      }
    }
  }
  void part(const StoredType& type, Bytes& out) {
    switch (type.kind) {
      case Kind::kText: append_sized(out, quoted()); return;
      case Kind::kTuple:
        expect('[');
        parts(type, out, false);
        expect(']');
        return;
      case Kind::kStruct: {
        append_u8(out, codec::kStructLayout);
        append_varint(out, type.parts.size());
        const bool is_object = accept('{');
        if (!is_object) expect('[');
        parts(type, out, is_object);
        expect(is_object ? '}' : ']');
        return;
      }
      case Kind::kOptional:
        blanks();
        if (rest_.starts_with("null")) {
          rest_.remove_prefix(4);
          append_u8(out, 0);
          return;
        }
        append_u8(out, 1);
        part(type.parts[0].type, out);
        return;
      default:
        if (!is_plain(type.kind)) fail();
        scalar(type, word(), out);
    }
  }
  // The fields of an object come in the order of the type.
  void parts(const StoredType& type, Bytes& out, bool is_object) {
    for (std::size_t i = 0; i < type.parts.size(); ++i) {
      if (i > 0) expect(',');
      if (is_object) {
        if (quoted() != type.parts[i].id) fail();
        expect(':');
      }
      part(type.parts[i].type, out);
    }
  }

  std::string_view rest_;
  const std::string_view text_;
  const StoredType& whole_;
};

std::optional<std::uint64_t> hash_of(const StoredType& type, ByteReader& in) {
  switch (type.kind) {
    case Kind::kBool: return stable_hash(in.u8() != 0);
    case Kind::kText: return hash_bytes(in.sized());
    case Kind::kEventTime: return stable_hash(unzigzag(in.varint()));
    case Kind::kNumber:
    case Kind::kEnum:
      if (type.width == 16) return std::nullopt;
      // As a 64-bit number of its own sign: what stable_hash makes of narrower ones.
      return stable_hash(static_cast<std::uint64_t>(read_integer(type, in)));
    case Kind::kTuple:
    case Kind::kStruct: {
      const std::size_t count =
          type.kind == Kind::kTuple ? type.parts.size() : codec::read_fields(in, type.parts.size());
      std::uint64_t hash = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const auto part = hash_of(type.parts[i].type, in);
        if (!part) return std::nullopt;
        hash = key_encoding::combine(hash, *part);
      }
      return hash;
    }
    default: return std::nullopt;
  }
}

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

Bytes parse_key(const StoredType& type, std::string_view text) {
  return KeyParser(text, type).parse();
}

std::optional<std::uint64_t> stored_key_hash(const StoredType& type, ByteView key) {
  ByteReader in(key);
  return hash_of(type, in);
}

}  // namespace tidemill
