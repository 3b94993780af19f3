#include "service/cli/table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <ostream>

namespace tidemill::cli {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowest = 8;  // a column is not made narrower than this

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

std::string formatted(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string padded(const std::string& text, std::size_t width, bool on_the_right) {
  const std::size_t has = width_of(text);
  const std::string blanks(width > has ? width - has : 0, ' ');
  return on_the_right ? blanks + text : text + blanks;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '\t' || byte == '\n') {
      out += ' ';
    } else if (byte < 0x20 || byte == 0x7F) {
      out += '?';
    } else if (byte == 0xC2 && i + 1 < text.size() &&
               static_cast<unsigned char>(text[i + 1]) < 0xA0) {  // U+0080 to U+009F
      out += '?';
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string shortened(std::string_view text, std::size_t width) {
  if (width == 0 || width_of(text) <= width) return std::string(text);
  std::size_t characters = 0;
  std::size_t end = 0;
  for (; end < text.size(); ++end) {
    if (begins_character(text[end]) && ++characters == width) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string wrapped(std::string_view text, std::size_t width, std::size_t indent,
                    std::size_t begins_at) {
  std::string out;
  std::size_t at = begins_at;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t blank = std::min(text.find(' ', from), text.size());
    const std::string_view word = text.substr(from, blank - from);
    from = blank + 1;
    if (word.empty()) continue;
    if (out.empty()) {
      out = word;
      at += width_of(word);
    } else if (width != 0 && at + 1 + width_of(word) > width) {
      out += "\n" + std::string(indent, ' ') + std::string(word);
      at = indent + width_of(word);
    } else {
      out += " " + std::string(word);
      at += 1 + width_of(word);
    }
  }
  return out;
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

std::string count_text(std::optional<double> number) {
  if (!number) return "-";
  if (std::abs(*number) < 10 && *number != std::floor(*number)) return formatted("%.1f", *number);
  std::string digits = formatted("%.0f", *number);
  const std::size_t first = digits.starts_with('-') ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string bytes_text(std::optional<double> bytes) {
  if (!bytes) return "-";
  constexpr std::array<const char*, 5> kUnits = {" B", " KiB", " MiB", " GiB", " TiB"};
  std::size_t unit = 0;
  double value = *bytes;
  while (std::abs(value) >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return formatted(unit == 0 || value >= 100 ? "%.0f" : "%.1f", value) + kUnits[unit];
}

std::string duration_text(std::optional<double> ms) {
  if (!ms) return "-";
  if (*ms < 0) return "-" + duration_text(-*ms);
  if (*ms < 1) return formatted("%.2g", *ms) + " ms";
  if (*ms < 1000) return formatted("%.0f", *ms) + " ms";
  const double s = *ms / 1000;
  if (s < 10) return formatted("%.1f", s) + " s";
  if (s < 120) return formatted("%.0f", s) + " s";
  if (s < 7200) return formatted("%.0f", s / 60) + " min";
  if (s < 172'800) return formatted("%.0f", s / 3600) + " h";
  return formatted("%.0f", s / 86'400) + " days";
}

std::string instant_text(std::optional<double> epoch_ms) {
  if (!epoch_ms || std::abs(*epoch_ms) > 1e15) return "-";
  const auto seconds = static_cast<std::time_t>(std::floor(*epoch_ms / 1000));
  std::tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return "-";
  std::array<char, 40> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%SZ", &parts);
  return text.data();
}

std::string ago_text(std::optional<double> epoch_ms, std::int64_t now_ms) {
  if (!epoch_ms) return "-";
  const double age = static_cast<double>(now_ms) - *epoch_ms;
  if (age < 0) return "in " + duration_text(-age);
  return age < 1000 ? "now" : duration_text(age) + " ago";
}

Table::Table(std::vector<std::string> titles) : titles_(std::move(titles)) {
  for (std::string& title : titles_) {
    on_the_right_.push_back(title.starts_with('>'));
    if (on_the_right_.back()) title.erase(0, 1);
  }
}

void Table::add(std::vector<std::string> cells) {
  cells.resize(titles_.size());
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

void Table::print(std::ostream& out, std::size_t width) const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < titles_.size(); ++c) {
    widths.push_back(width_of(titles_[c]));
    for (const auto& row : rows_) widths[c] = std::max(widths[c], width_of(row[c]));
  }
  const auto total = [&] {
    std::size_t sum = kGap * (widths.size() - 1);
    for (const std::size_t w : widths) sum += w;
    return sum;
  };
  while (width != 0 && total() > width) {
    const auto widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= kNarrowest) break;
    --*widest;
  }
  const auto print_row = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      if (c > 0) line += std::string(kGap, ' ');
      line += padded(shortened(cells[c], widths[c]), widths[c], on_the_right_[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << shortened(line, width) << "\n";
  };
  print_row(titles_);
  for (const auto& row : rows_) print_row(row);
}

}  // namespace tidemill::cli
