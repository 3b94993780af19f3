#include "service/scenario/spelling.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <utility>

namespace tidemill::scenario {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t ms;
};
constexpr std::array<Unit, 5> kUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

// What is before and behind the first `mark`; nothing if there is none.
std::optional<std::pair<std::string_view, std::string_view>> cut(std::string_view text, char mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  return std::pair(text.substr(0, at), text.substr(at + 1));
}

std::optional<std::string> canonical_key_at_time(std::string_view text) {
  const auto parts = cut(text, '@');
  if (!parts || !is_key(parts->first)) return std::nullopt;
  const auto time = read_time(parts->second);
  if (!time) return std::nullopt;
  return std::string(parts->first) + "@" + print(*time);
}

// KEY[START,END)
std::optional<std::string> canonical_bounds(std::string_view text) {
  const auto parts = cut(text, '[');
  if (!parts || !is_key(parts->first) || !parts->second.ends_with(')')) return std::nullopt;
  const auto bounds = cut(parts->second.substr(0, parts->second.size() - 1), ',');
  if (!bounds) return std::nullopt;
  const auto start = read_time(bounds->first, Infinite::kYes);
  const auto end = read_time(bounds->second, Infinite::kYes);
  if (!start || !end) return std::nullopt;
  return std::string(parts->first) + "[" + print(*start) + "," + print(*end) + ")";
}

// `head`=RESULT, where `head` is what `read` makes of it.
template <class Read>
std::optional<std::string> canonical_with_result(std::string_view text, Read read) {
  const auto parts = cut(text, '=');
  if (!parts) return std::nullopt;
  const auto head = read(parts->first);
  const auto result = canonical_result(parts->second);
  if (!head || !result) return std::nullopt;
  return *head + "=" + *result;
}

// KEY@TIME{5m=RESULT,1h=RESULT}, from the shortest window to the longest.
std::optional<std::string> canonical_trailing(std::string_view text) {
  const auto parts = cut(text, '{');
  if (!parts || !parts->second.ends_with('}')) return std::nullopt;
  const auto head = canonical_key_at_time(parts->first);
  const auto results = split_commas(parts->second.substr(0, parts->second.size() - 1));
  if (!head || !results) return std::nullopt;
  std::map<EventTime, std::string> by_window;
  for (const std::string_view part : *results) {
    const auto pair = cut(part, '=');
    if (!pair) return std::nullopt;
    const auto window = read_time(pair->first);
    const auto result = canonical_result(pair->second);
    if (!window || !result || !by_window.emplace(*window, *result).second) return std::nullopt;
  }
  std::string inner;
  for (const auto& [window, result] : by_window)
    inner += (inner.empty() ? "" : ",") + print(window) + "=" + result;
  return *head + "{" + inner + "}";
}

// KEY#RANK
std::optional<std::string> canonical_rank(std::string_view text) {
  const auto parts = cut(text, '#');
  if (!parts || !is_key(parts->first)) return std::nullopt;
  const std::string_view rank = parts->second;
  if (rank.empty() || rank.size() > 9 || rank.front() == '0' ||
      !std::ranges::all_of(rank, [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  return std::string(text);
}

// KEY@5s, KEY@p5s, KEY@5s/name
std::optional<std::string> canonical_timer(std::string_view text) {
  std::string name;
  if (const auto parts = cut(text, '/')) {
    if (!is_key(parts->second)) return std::nullopt;
    name = "/" + std::string(parts->second);
    text = parts->first;
  }
  const auto parts = cut(text, '@');
  if (!parts || !is_key(parts->first)) return std::nullopt;
  const bool is_processing = parts->second.starts_with('p');
  const auto time = read_time(parts->second.substr(is_processing ? 1 : 0));
  if (!time) return std::nullopt;
  return std::string(parts->first) + "@" + (is_processing ? "p" : "") + print(*time) + name;
}

std::optional<std::string> canonical_late(std::string_view text) {
  if (text.find('=') == std::string_view::npos) return canonical_key_at_time(text);
  auto row = canonical_with_result(text, canonical_key_at_time);
  if (row && row->ends_with("=1")) row->resize(row->size() - 2);
  return row;
}

std::optional<std::string> canonical_one_word(std::string_view row) {
  if (row == "idle" || row == "active") return std::string(row);
  if (row.starts_with("w=")) {
    const auto time = read_time(row.substr(2), Infinite::kYes);
    if (time) return "w=" + print(*time);
    return std::nullopt;
  }
  const std::size_t mark = row.find_first_of("[@#");
  if (mark == std::string_view::npos) return std::nullopt;
  if (row[mark] == '[') return canonical_with_result(row, canonical_bounds);
  if (row[mark] == '#') return canonical_with_result(row, canonical_rank);
  if (row.find('{') != std::string_view::npos) return canonical_trailing(row);
  return canonical_with_result(row, canonical_key_at_time);
}

std::optional<std::string> prefixed(std::string_view prefix, std::optional<std::string> row) {
  if (!row) return std::nullopt;
  return std::string(prefix) + " " + *row;
}

}  // namespace

std::optional<EventTime> read_time(std::string_view text, Infinite infinite) {
  if (infinite == Infinite::kYes && text == "inf") return EventTime::max();
  if (infinite == Infinite::kYes && text == "-inf") return EventTime::min();
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{}) return std::nullopt;
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.empty()) unit = "ms";
  const auto found = std::ranges::find(kUnits, unit, &Unit::name);
  if (found == kUnits.end()) return std::nullopt;
  EventTime time;
  if (__builtin_mul_overflow(count, found->ms, &time.ms) || !time.is_finite()) return std::nullopt;
  return time;
}

std::string print(EventTime time) {
  if (time == EventTime::max()) return "inf";
  if (time == EventTime::min()) return "-inf";
  if (time.ms == 0) return "0";
  const auto unit =
      std::ranges::find_if(kUnits, [&](const Unit& u) { return time.ms % u.ms == 0; });
  return std::to_string(time.ms / unit->ms) + std::string(unit->name);
}

bool is_key(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string window_row(const std::string& key, EventTime start, EventTime end,
                       const Value& result) {
  return key + "[" + print(start) + "," + print(end) + ")=" + print(result);
}

std::string late_row(const std::string& key, EventTime time, const Value& value) {
  const std::string text = print(value);
  return "late " + key + "@" + print(time) + (text == "1" ? "" : "=" + text);
}

bool is_prefix(const std::vector<std::string_view>& words) {
  if (words.size() == 1) return words[0] == "late" || words[0] == "delete" || words[0] == "fire";
  return words.size() == 2 && words[0] == "late" && (words[1] == "left" || words[1] == "right");
}

std::optional<std::string> canonical_row(const std::vector<std::string_view>& words) {
  if (words.empty() || is_prefix(words)) return std::nullopt;
  const std::string_view row = words.back();
  if (words.size() == 1) return canonical_one_word(row);
  if (words.size() == 3)
    return prefixed(std::string(words[0]) + " " + std::string(words[1]), canonical_late(row));
  if (words[0] == "late") return prefixed("late", canonical_late(row));
  if (words[0] == "fire") return prefixed("fire", canonical_timer(row));
  const auto point = canonical_key_at_time(row);
  return prefixed("delete", point ? point : canonical_bounds(row));
}

bool is_timer_command(std::string_view text) {
  if (!text.starts_with('+') && !text.starts_with('-') && !text.starts_with('p')) return false;
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  if (text.starts_with('p')) text.remove_prefix(1);
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos && !is_key(text.substr(slash + 1))) return false;
  return read_time(text.substr(0, slash)).has_value();
}

}  // namespace tidemill::scenario
