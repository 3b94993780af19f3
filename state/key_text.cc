// Keys from text (value_json.h).
#include <charconv>
#include <string>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "state/codec.h"
#include "state/key_encoding.h"
#include "state/value_json.h"
#include "state/value_parts_internal.h"

namespace tidemill {
namespace {

using Kind = StoredType::Kind;

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

Bytes parse_key(const StoredType& type, std::string_view text) {
  return KeyParser(text, type).parse();
}

std::optional<std::uint64_t> stored_key_hash(const StoredType& type, ByteView key) {
  ByteReader in(key);
  return hash_of(type, in);
}

}  // namespace tidemill
