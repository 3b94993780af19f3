#include "service/tools/output_diff.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <vector>

#include <boost/json.hpp>
#include <boost/nowide/utf/convert.hpp>

#include "service/tools/shown_row.h"

namespace tidemill::tools {
namespace json = boost::json;
namespace {

constexpr std::array<const char*, 4> kWindowNames = {"window_start", "window_end", "window",
                                                     "computed_at"};
// Of an entry of the table, besides its texts.
constexpr std::size_t kEntryBytes = 160;

std::uint64_t hash_of(std::string_view key) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, and the high bits mixed in
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash ^ (hash >> 32);
}

// Times as text of one form; numbers, of any length.
bool is_before(const std::string& a, const std::string& b) {
  const auto is_number = [](const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  };
  if (is_number(a) && is_number(b) && a.size() != b.size()) return a.size() < b.size();
  return a < b;
}

}  // namespace

std::string OutputDiff::window_of(std::string_view row) {
  json::error_code error;
  const json::value value = json::parse({row.data(), row.size()}, error);
  if (error || !value.is_object()) return "";
  for (const char* name : kWindowNames) {
    const json::value* found = value.get_object().if_contains(name);
    if (found == nullptr || found->is_null()) continue;
    return found->is_string() ? std::string(found->get_string()) : json::serialize(*found);
  }
  return "";
}

bool OutputDiff::is_taken(std::string_view key) const { return hash_of(key) % one_key_in_ == 0; }

void OutputDiff::add(std::string_view key, std::string_view row, Side side) {
  if (!is_taken(key)) return;
  const std::string window = window_of(row);
  if (side == Side::kReplay && !window.empty()) {
    if (!has_windows_ || is_before(window, first_window_)) first_window_ = window;
    if (!has_windows_ || is_before(last_window_, window)) last_window_ = window;
    has_windows_ = true;
  }
  if (side == Side::kLive && has_windows_ &&
      (is_before(window, first_window_) || is_before(last_window_, window))) {
    ++outside_;
    return;
  }
  std::string identity(key);
  identity += '\0';
  identity += window;
  const auto [at, is_new] = pairs_.try_emplace(std::move(identity));
  if (is_new) bytes_ += at->first.size() + kEntryBytes;
  auto& place = side == Side::kLive ? at->second.live : at->second.replay;
  bytes_ += row.size() - (place ? place->size() : 0);
  place = std::string(row);
  while (bytes_ > max_bytes_ && pairs_.size() > 1) give_keys_up();
}

void OutputDiff::give_keys_up() {
  one_key_in_ *= 2;
  std::erase_if(pairs_, [&](const auto& entry) {
    const auto& [identity, pair] = entry;
    if (is_taken(std::string_view(identity).substr(0, identity.find('\0')))) return false;
    bytes_ -= identity.size() + kEntryBytes + (pair.live ? pair.live->size() : 0) +
              (pair.replay ? pair.replay->size() : 0);
    return true;
  });
}

std::string OutputDiff::json(const std::string& output, std::size_t show) const {
  std::uint64_t equal = 0;
  std::uint64_t different = 0;
  std::uint64_t only_live = 0;
  std::uint64_t only_replay = 0;
  std::set<std::string_view> keys;
  std::vector<const std::pair<const std::string, Pair>*> found;
  for (const auto& entry : pairs_) {
    const std::string_view identity = entry.first;
    keys.insert(identity.substr(0, identity.find('\0')));
    const Pair& pair = entry.second;
    if (pair.live && pair.live == pair.replay) {
      ++equal;
      continue;
    }
    ++(!pair.replay ? only_live : !pair.live ? only_replay : different);
    found.push_back(&entry);
  }
  const auto last = found.begin() + static_cast<std::ptrdiff_t>(std::min(show, found.size()));
  std::partial_sort(found.begin(), last, found.end(),
                    [](const auto* a, const auto* b) { return a->first < b->first; });
  std::string differences;
  for (auto it = found.begin(); it != last; ++it) {
    const std::string& identity = (*it)->first;
    const std::size_t zero = identity.find('\0');
    const std::string window = identity.substr(zero + 1);
    differences += (differences.empty() ? "{\"key\":" : ",{\"key\":") +
                   shown_text(identity.substr(0, zero)) +
                   ",\"window\":" + (window.empty() ? "null" : shown_text(window)) +
                   ",\"live\":" + shown_row((*it)->second.live) +
                   ",\"replay\":" + shown_row((*it)->second.replay) + '}';
  }
  const auto or_null = [&](const std::string& text) {
    return has_windows_ ? json::value(text) : json::value(nullptr);
  };
  std::string text = json::serialize(json::object{{"output", output},
                                                  {"first_window", or_null(first_window_)},
                                                  {"last_window", or_null(last_window_)},
                                                  {"keys", keys.size()},
                                                  {"equal", equal},
                                                  {"different", different},
                                                  {"only_live", only_live},
                                                  {"only_replay", only_replay},
                                                  {"outside", outside_},
                                                  {"one_key_in", one_key_in_}});
  text.pop_back();
  text += ",\"differences\":[" + differences + "]}";
  // Keys and rows need not be UTF-8; an answer is.
  return boost::nowide::utf::convert_string<char>(text.data(), text.data() + text.size());
}

}  // namespace tidemill::tools
