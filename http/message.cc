#include "http/message.h"

#include <cctype>

namespace tidemill::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool decode(std::string_view text, bool plus_is_space, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size()) return false;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0)) return false;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return true;
}

void encode(std::string_view text, std::string_view kept, std::string& out) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || kept.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

}  // namespace

std::optional<Target> parse_target(std::string_view target) {
  Target parsed;
  target = target.substr(0, target.find('#'));
  const std::size_t mark = target.find('?');
  if (!decode(target.substr(0, mark), false, parsed.path) || !parsed.path.starts_with('/'))
    return std::nullopt;
  std::string_view rest =
      mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    std::string name;
    std::string value;
    if (!decode(pair.substr(0, equals), true, name)) return std::nullopt;
    if (equals != std::string_view::npos && !decode(pair.substr(equals + 1), true, value))
      return std::nullopt;
    parsed.query[name] = value;
  }
  return parsed;
}

std::string format_target(const Target& target) {
  std::string text;
  encode(target.path, "/-._~:@!$&'()*,;=", text);
  char separator = '?';
  for (const auto& [name, value] : target.query) {
    text += separator;
    separator = '&';
    encode(name, "-._~", text);
    text += '=';
    encode(value, "-._~:/", text);
  }
  return text;
}

}  // namespace tidemill::http
