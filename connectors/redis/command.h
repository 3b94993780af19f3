// Redis commands on the wire (RESP): an array of length-prefixed strings, so that any byte may
// stand in any argument.
#pragma once

#include <charconv>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

namespace tidemill {

inline void append_redis_length(std::string& out, char kind, std::size_t length) {
  char text[24];
  text[0] = kind;
  char* end = std::to_chars(text + 1, text + sizeof text, length).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(text, end);
}

inline void append_redis_argument(std::string& out, std::string_view argument) {
  append_redis_length(out, '$', argument.size());
  out.append(argument);
  out.append("\r\n", 2);
}

inline void append_redis_command(std::string& out,
                                 std::initializer_list<std::string_view> arguments) {
  append_redis_length(out, '*', arguments.size());
  for (const std::string_view argument : arguments) append_redis_argument(out, argument);
}

}  // namespace tidemill
