// What is wrong with a scenario file, and where.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tidemill::scenario {

// A token of a file and its place, both counted from 1. `text` views the file's content.
struct Word {
  std::string_view text;
  std::size_t line = 1;
  std::size_t column = 1;
};

class Mistake : public std::runtime_error {
 public:
  Mistake(const Word& at, const std::string& what)
      : std::runtime_error(what), line_(at.line), column_(at.column) {}
  [[nodiscard]] std::size_t line() const { return line_; }
  [[nodiscard]] std::size_t column() const { return column_; }

 private:
  std::size_t line_;
  std::size_t column_;
};

}  // namespace tidemill::scenario
