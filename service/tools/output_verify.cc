#include "service/tools/output_verify.h"

#include <algorithm>
#include <array>
#include <iterator>

#include <boost/json.hpp>
#include <boost/nowide/utf/convert.hpp>

#include "connectors/formats/iso_time.h"
#include "engine/base/hash.h"
#include "service/tools/shown_row.h"

namespace tidemill::tools {
namespace json = boost::json;
namespace {

using Kind = OutputVerify::Kind;

constexpr std::array<const char*, 8> kKinds = {"behind", "missing", "different", "unknown",
                                               "ahead",  "expired", "equal",     "absent"};
constexpr std::size_t kWorthShowing = 5;  // of them
// What reads the answer keeps a megabyte of it.
constexpr std::size_t kMaxShownBytes = std::size_t{512} << 10;
constexpr std::size_t kMaxShownText = std::size_t{16} << 10;

// What is to be known of a row.
struct RowFacts {
  std::optional<std::int64_t> time_ms;
  bool says_absent = false;  // the key has nothing any more (docs/feature_pipeline.md)
};

RowFacts facts_of(const std::string& row, const std::string& time_field) {
  RowFacts facts;
  json::error_code error;
  const json::value value = json::parse(row, error);
  if (error || !value.is_object()) return facts;
  const json::object& object = value.get_object();
  if (const json::value* time = object.if_contains(time_field); time != nullptr) {
    if (time->is_int64()) facts.time_ms = time->get_int64();
    if (time->is_string()) {
      const auto parsed = parse_iso_time(time->get_string());
      if (parsed) facts.time_ms = parsed->ms;
    }
  }
  const json::value* event_time = object.if_contains("event_time");
  facts.says_absent = event_time != nullptr && event_time->is_null();
  return facts;
}

}  // namespace

const char* name_of(OutputVerify::Kind kind) { return kKinds.at(static_cast<std::size_t>(kind)); }

std::uint64_t OutputVerify::hash_of(std::string_view key) const {
  return mix64(hash_bytes(key) ^ stable_hash(rules_.seed));
}

void OutputVerify::add_committed(const OutputRow& row) {
  const auto committed = [&] {
    return Committed{row.row ? std::optional<std::string>(*row.row) : std::nullopt, row.at_ms};
  };
  if (!is_chosen_) {
    const std::uint64_t hash = hash_of(row.key);
    if (committed_.size() == rules_.sample && hash > committed_.rbegin()->first.first) return;
    committed_[Place(hash, row.key)] = committed();
    if (committed_.size() > rules_.sample) committed_.erase(std::prev(committed_.end()));
    return;
  }
  const auto found = sample_.find(row.key);
  if (found == sample_.end() || found->second.is_settled) return;
  Compared& one = found->second;
  one.committed = committed();
  const Kind now = judge(one, 0);
  if (one.kind != Kind::kAhead || now > Kind::kAhead) one.kind = now;
  // What Redis had is committed now: it was ahead, whatever has come since.
  one.is_settled = now > Kind::kAhead;
  if (one.is_settled) --num_doubtful_;
}

void OutputVerify::add_key(std::string_view key) {
  const std::uint64_t hash = hash_of(key);
  if (keys_.size() == rules_.sample && hash > keys_.rbegin()->first) return;
  keys_.emplace(hash, key);
  if (keys_.size() > rules_.sample) keys_.erase(std::prev(keys_.end()));
}

std::vector<std::string> OutputVerify::choose() {
  is_chosen_ = true;
  auto committed = committed_.begin();
  auto key = keys_.begin();
  std::vector<std::string> chosen;
  while (chosen.size() < rules_.sample && (committed != committed_.end() || key != keys_.end())) {
    const bool is_committed =
        key == keys_.end() || (committed != committed_.end() && committed->first <= *key);
    const Place& place = is_committed ? committed->first : *key;
    Compared& one = sample_[place.second];
    chosen.push_back(place.second);
    if (key != keys_.end() && *key == place) ++key;
    if (is_committed) one.committed = std::move((committed++)->second);
  }
  committed_.clear();
  keys_.clear();
  num_doubtful_ = chosen.size();
  return chosen;
}

void OutputVerify::set_stored(const std::string& key, std::optional<std::string_view> row,
                              std::int64_t now_ms) {
  Compared& one = sample_.at(key);
  one.stored = row ? std::optional<std::string>(*row) : std::nullopt;
  one.kind = judge(one, now_ms);
  if (!one.is_settled) --num_doubtful_;
  one.is_settled = one.kind > Kind::kAhead;
  if (!one.is_settled) ++num_doubtful_;
}

OutputVerify::Kind OutputVerify::judge(const Compared& one, std::int64_t now_ms) const {
  if (!one.committed) return one.stored ? Kind::kUnknown : Kind::kAbsent;
  const std::optional<std::string>& row = one.committed->row;
  RowFacts committed;
  if (row) {
    committed = facts_of(*row, rules_.time_field);
  } else {
    committed = {one.committed->at_ms, true};
  }
  if (!one.stored) {
    if (committed.says_absent) return Kind::kAbsent;
    const std::int64_t written_ms =
        std::max({rules_.since_ms, one.committed->at_ms, committed.time_ms.value_or(0)});
    return rules_.ttl_ms && now_ms - written_ms >= *rules_.ttl_ms ? Kind::kExpired : Kind::kMissing;
  }
  if (!committed.says_absent && one.stored == row) return Kind::kEqual;
  const RowFacts stored = facts_of(*one.stored, rules_.time_field);
  if (!stored.time_ms || !committed.time_ms || stored.time_ms == committed.time_ms)
    return Kind::kDifferent;
  return *stored.time_ms > *committed.time_ms ? Kind::kAhead : Kind::kBehind;
}

std::vector<std::string> OutputVerify::doubtful() const {
  std::vector<std::string> keys;
  keys.reserve(num_doubtful_);
  for (const auto& [key, one] : sample_) {
    if (!one.is_settled) keys.push_back(key);
  }
  return keys;
}

std::string OutputVerify::json(std::size_t show) const {
  std::array<std::uint64_t, kKinds.size()> counts{};
  std::vector<const std::pair<const std::string, Compared>*> found;
  for (const auto& entry : sample_) {
    ++counts.at(static_cast<std::size_t>(entry.second.kind));
    if (static_cast<std::size_t>(entry.second.kind) < kWorthShowing) found.push_back(&entry);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto* a, const auto* b) { return a->second.kind < b->second.kind; });
  json::object all{{"seed", rules_.seed}, {"sampled", sample_.size()}};
  for (std::size_t i = 0; i < kKinds.size(); ++i) all[kKinds[i]] = counts[i];
  std::string differences;
  for (const auto* entry : found) {
    if (show-- == 0 || differences.size() > kMaxShownBytes) break;
    const auto& [key, one] = *entry;
    const std::string shown =
        (differences.empty() ? "{\"key\":" : ",{\"key\":") + shown_text(key, kMaxShownText) +
        ",\"kind\":\"" + name_of(one.kind) +
        "\",\"redis\":" + shown_row(one.stored, kMaxShownText) + ",\"committed\":" +
        shown_row(one.committed ? one.committed->row : std::nullopt, kMaxShownText) + '}';
    // Keys and rows need not be UTF-8; an answer is.
    differences +=
        boost::nowide::utf::convert_string<char>(shown.data(), shown.data() + shown.size());
  }
  std::string text = json::serialize(all);
  text.pop_back();
  return text + ",\"differences\":[" + differences + "]}";
}

}  // namespace tidemill::tools
