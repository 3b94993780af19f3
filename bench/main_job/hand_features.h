// The hand loops' middle: the three windows with decay of each user, and when which row is due.
// Shares no code with the main job, so that equal rows also say that both are right.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "bench/main_job/hand_input.h"
#include "bench/main_job/hand_rows.h"

namespace tidemill::hand {
constexpr std::int64_t kSlice = 5'000;
struct Window {
  const char* name;
  std::int64_t size, resolution;
};
constexpr std::array<Window, 3> kWindows{
    {{"5m", 300'000, 5'000}, {"1h", 3'600'000, 60'000}, {"24h", 86'400'000, 1'440'000}}};
constexpr std::size_t kNumWindows = kWindows.size();

enum class Emit { kOnRecord, kOnWatermark, kCoalesced };

inline Emit emit_of(std::string_view mode) {
  if (mode == "on_record") return Emit::kOnRecord;
  if (mode == "on_watermark") return Emit::kOnWatermark;
  if (mode == "coalesced") return Emit::kCoalesced;
  fail("no such way to emit", std::string(mode));
}

constexpr std::int64_t leave(std::size_t w, std::int64_t end) {
  return ceil_to(end, kWindows[w].resolution) + kWindows[w].size;
}

// Sums are exact: units of 2^-72 in 128 bits, enough for what run.py generates.

inline __int128 units_of(double x) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits << 1) == 0) return 0;
  const int shift = static_cast<int>((bits >> 52) & 0x7FF) - 1075 + 72;
  if (shift < 0 || shift > 60) fail("a value is out of range", std::to_string(x));
  const auto mantissa = static_cast<std::int64_t>((bits & ((1ULL << 52) - 1)) | (1ULL << 52));
  return static_cast<__int128>((bits >> 63) != 0 ? -mantissa : mantissa) << shift;
}
inline double value_of(__int128 units) { return static_cast<double>(units) * 0x1p-72; }

// At most four kinds of action; more of them lie in slices behind with the same end.
struct Slice {
  struct Action {
    std::uint16_t id;
    std::uint16_t count;
  };
  static constexpr std::uint32_t kMostActions = 4;

  std::int64_t end = 0;
  std::uint32_t count = 0;
  std::uint32_t num_actions = 0;
  __int128 sum = 0;
  std::array<Action, kMostActions> actions{};

  bool add(std::uint32_t action, __int128 units) {
    std::uint32_t i = 0;
    while (i < num_actions && actions[i].id != action) ++i;
    if (i == kMostActions || (i < num_actions && actions[i].count == 0xFFFF)) return false;
    if (i == num_actions) actions[num_actions++] = {static_cast<std::uint16_t>(action), 0};
    ++actions[i].count;
    ++count;
    sum += units;
    return true;
  }
};

struct Total {
  __int128 sum = 0;
  std::int64_t count = 0;
  std::int64_t unique = 0;
  std::vector<std::uint32_t> actions;  // by id
  std::size_t first = 0;
  std::int64_t leave = kMax;
};

struct Waiting {
  std::int64_t time;
  std::int32_t partition;
  std::int64_t offset;
  double value;
  std::uint32_t action;
  [[nodiscard]] auto order() const { return std::tuple(time, partition, offset); }
};

struct User {
  std::string name;
  std::string json;  // {"user_id":"…"
  std::uint32_t partition = 0;
  std::int64_t instant = kMin;
  std::int64_t next_leave = kMax;
  std::int64_t timer = kMax;
  std::array<Total, kNumWindows> totals;
  std::vector<Slice> slices;
  std::size_t begin = 0;  // slices before are in no window
  std::tuple<std::int64_t, std::int32_t, std::int64_t> last{kMin, 0, 0};
  std::uint32_t last_action = 0;
  std::vector<Waiting> waiting;
};

// Rows: where they go. `room(partition, size)` gives room for a row of at most `size` bytes,
// `end(partition, user, time, at)` takes the one that ends at `at`.
template <class Rows>
class Features {
 public:
  Features(Rows& rows, std::size_t partitions, Emit emit, std::int64_t interval)
      : emit_(emit), interval_(interval), num_partitions_(partitions), rows_(rows) {
    for (std::size_t w = 0; w < kNumWindows; ++w) {
      const std::string name = kWindows[w].name;
      names_[w] = {",\"event_count_" + name + "\":", ",\"unique_actions_" + name + "\":",
                   ",\"avg_value_" + name + "\":"};
    }
  }

  void take(const Event& e) {
    const std::uint32_t number = user_of(e.user);
    User& user = *users_[number];
    const Waiting record{e.time, e.partition, e.offset, e.value, action_of(e.action)};
    if (emit_ == Emit::kOnRecord) {
      apply(user, record);
      write(user);
    } else {
      const auto place = std::upper_bound(
          user.waiting.begin(), user.waiting.end(), record,
          [](const Waiting& a, const Waiting& b) { return a.order() < b.order(); });
      user.waiting.insert(place, record);
    }
    arm(user, number);
  }

  // `records`: records before this take effect; `decays`: decays before this.
  void fire(std::int64_t records, std::int64_t decays, std::int64_t until) {
    while (!timers_.empty() && timers_.top().first < until) {
      const auto [time, number] = timers_.top();
      timers_.pop();
      User& user = *users_[number];
      if (user.timer != time) continue;
      user.timer = kMax;
      take_effect(user, records, decays);
      arm(user, number);
    }
  }

  [[nodiscard]] std::uint64_t num_rows() const { return num_rows_; }

 private:
  std::uint32_t user_of(std::string_view name) {
    if (const auto it = numbers_.find(name); it != numbers_.end()) return it->second;
    auto user = std::make_unique<User>();
    user->name = name;
    user->json = "{\"user_id\":" + quoted(name);
    user->partition = (murmur2(name) & 0x7fffffffu) % static_cast<std::uint32_t>(num_partitions_);
    users_.push_back(std::move(user));
    const auto number = static_cast<std::uint32_t>(users_.size() - 1);
    numbers_.emplace(std::string(name), number);
    return number;
  }
  std::uint32_t action_of(std::string_view name) {
    if (const auto it = actions_.find(name); it != actions_.end()) return it->second;
    const auto id = static_cast<std::uint32_t>(actions_.size());
    actions_.emplace(std::string(name), id);
    action_json_.push_back(quoted(name));
    return id;
  }

  void arm(User& user, std::uint32_t number) {
    std::int64_t next = user.next_leave;
    if (!user.waiting.empty()) next = std::min(next, user.waiting.front().time);
    if (next >= user.timer) return;
    user.timer = next;
    timers_.emplace(next, number);
  }

  void advance(User& user, std::int64_t to) {
    if (to <= user.instant) return;
    user.instant = to;
    if (to < user.next_leave) return;
    user.next_leave = kMax;
    for (std::size_t w = 0; w < kNumWindows; ++w) {
      Total& total = user.totals[w];
      while (total.leave <= to) {
        const Slice& slice = user.slices[total.first++];
        total.sum -= slice.sum;
        total.count -= slice.count;
        for (std::uint32_t i = 0; i < slice.num_actions; ++i) {
          std::uint32_t& left = total.actions[slice.actions[i].id];
          left -= slice.actions[i].count;
          if (left == 0) --total.unique;
        }
        total.leave =
            total.first < user.slices.size() ? leave(w, user.slices[total.first].end) : kMax;
      }
      user.next_leave = std::min(user.next_leave, total.leave);
    }
    std::size_t begin = user.slices.size();
    for (const Total& total : user.totals) begin = std::min(begin, total.first);
    if (begin > 32 && 2 * begin > user.slices.size()) {
      user.slices.erase(user.slices.begin(),
                        user.slices.begin() + static_cast<std::ptrdiff_t>(begin));
      for (Total& total : user.totals) total.first -= begin;
    }
  }

  void apply(User& user, const Waiting& record) {
    advance(user, record.time);
    const std::int64_t end = ceil_to(record.time, kSlice);
    const __int128 units = units_of(record.value);
    // Behind the last slice of this end, or in it.
    std::size_t place = user.slices.size();
    while (place > 0 && user.slices[place - 1].end > end) --place;
    bool is_new = place == 0 || user.slices[place - 1].end != end;
    if (!is_new && user.slices[place - 1].add(record.action, units)) {
      --place;
    } else {
      Slice slice;
      slice.end = end;
      slice.add(record.action, units);
      user.slices.insert(user.slices.begin() + static_cast<std::ptrdiff_t>(place), slice);
      is_new = true;
    }
    bool counts = false;
    for (std::size_t w = 0; w < kNumWindows; ++w) {
      Total& total = user.totals[w];
      if (is_new ? leave(w, end) <= user.instant : place < total.first) {
        if (is_new) ++total.first;
        continue;
      }
      counts = true;
      if (place == total.first) {
        total.leave = leave(w, end);
        user.next_leave = std::min(user.next_leave, total.leave);
      }
      total.sum += units;
      ++total.count;
      if (total.actions.size() <= record.action) total.actions.resize(record.action + 1);
      if (total.actions[record.action]++ == 0) ++total.unique;
    }
    if (!counts) return;
    if (record.order() >= user.last) {
      user.last = record.order();
      user.last_action = record.action;
    }
  }

  void take_effect(User& user, std::int64_t records, std::int64_t decays) {
    std::int64_t unsent = kMin;
    std::size_t taken = 0;
    while (true) {
      const bool has_record = taken < user.waiting.size() && user.waiting[taken].time < records;
      const bool is_decay =
          has_record ? user.next_leave <= user.waiting[taken].time : user.next_leave < decays;
      if (!has_record && !is_decay) break;
      const std::int64_t at =
          is_decay ? user.next_leave : std::max(user.instant, user.waiting[taken].time);
      if (emit_ == Emit::kCoalesced) {
        const std::int64_t interval = floor_to(at, interval_);
        if (unsent != kMin && interval != unsent) write(user);
        unsent = interval;
      }
      if (is_decay) {
        advance(user, at);
      } else {
        apply(user, user.waiting[taken++]);
      }
      if (emit_ != Emit::kCoalesced) write(user);
    }
    if (unsent != kMin) write(user);
    user.waiting.erase(user.waiting.begin(),
                       user.waiting.begin() + static_cast<std::ptrdiff_t>(taken));
  }

  void write(User& user) {
    const std::string* last_action =
        user.next_leave == kMax ? nullptr : &action_json_[user.last_action];
    char* at = rows_.room(user.partition,
                          user.json.size() + (last_action ? last_action->size() : 0) + 512);
    at = put(at, user.json);
    for (std::size_t w = 0; w < kNumWindows; ++w) {
      const Total& total = user.totals[w];
      at = put(put(at, names_[w][0]), total.count);
      at = put(put(at, names_[w][1]), total.unique);
      at = put(at, names_[w][2]);
      at = total.count == 0 ? put(at, std::string_view("null"))
                            : put(at, value_of(total.sum) / static_cast<double>(total.count));
    }
    at = put(at, std::string_view(",\"last_action\":"));
    if (last_action == nullptr) {
      at = put(at, std::string_view("null,\"event_time\":null"));
      user.last = {kMin, 0, 0};
    } else {
      at = put(put(at, *last_action), std::string_view(",\"event_time\":"));
      at = put_time(at, std::get<0>(user.last));
    }
    at = put_time(put(at, std::string_view(",\"computed_at\":")), user.instant);
    rows_.end(user.partition, user.name, user.instant, put(at, std::string_view("}")));
    ++num_rows_;
  }

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return boost::hash<std::string_view>()(text);
    }
  };
  using Numbers = boost::unordered_flat_map<std::string, std::uint32_t, Hash, std::equal_to<>>;
  using Timer = std::pair<std::int64_t, std::uint32_t>;

  const Emit emit_;
  const std::int64_t interval_;
  const std::size_t num_partitions_;
  Rows& rows_;
  std::array<std::array<std::string, 3>, kNumWindows> names_;
  Numbers numbers_;
  std::vector<std::unique_ptr<User>> users_;
  Numbers actions_;
  std::vector<std::string> action_json_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::uint64_t num_rows_ = 0;
};

}  // namespace tidemill::hand
