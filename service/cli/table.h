// What people read: aligned tables no wider than their terminal, and numbers, times and sizes in
// words. Everything that comes from a peer is made printable here: no escape sequence gets through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidemill::cli {

// One line of `text`, without control characters (they could drive the terminal).
[[nodiscard]] std::string printable(std::string_view text);
// Characters, not bytes, of UTF-8.
[[nodiscard]] std::size_t width_of(std::string_view text);
// At most `width` characters; a cut is marked by "…". 0: whole.
[[nodiscard]] std::string shortened(std::string_view text, std::size_t width);
// Lines of at most `width` characters, broken between words; those after the first are indented,
// that one stands in column `begins_at`. 0: one line.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t width, std::size_t indent,
                                  std::size_t begins_at = 0);

// "-" of what is not known.
[[nodiscard]] std::string or_dash(const std::string& text);
[[nodiscard]] std::string count_text(std::optional<double> number);      // 1,234,567
[[nodiscard]] std::string bytes_text(std::optional<double> bytes);       // 12.3 MiB
[[nodiscard]] std::string duration_text(std::optional<double> ms);       // 12 ms, 3.4 s, 5 min
[[nodiscard]] std::string instant_text(std::optional<double> epoch_ms);  // 2026-01-01 00:00:00Z
[[nodiscard]] std::string ago_text(std::optional<double> epoch_ms, std::int64_t now_ms);  // 3 s ago

class Table {
 public:
  // A title that begins with '>' is of a column of numbers, which stand on the right.
  explicit Table(std::vector<std::string> titles);
  void add(std::vector<std::string> cells);  // as many as titles
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  // Columns that hold the most are shortened until a line fits into `width`; 0: any width.
  void print(std::ostream& out, std::size_t width) const;

 private:
  std::vector<std::string> titles_;
  std::vector<bool> on_the_right_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace tidemill::cli
