// What the main job does from file log to file log, written by hand: one thread, no state beyond
// memory, no checkpoints, nothing general. The measure for feature_pipeline (bench/RESULTS.md).
// Shares no code with it, so that equal rows also say that both are right.
//
//   hand_loop EVENTS_DIR ROWS_DIR on_record|on_watermark|coalesced
//
// Windows, disorder and lateness are those of run.py. It reads in the order of the job at
// parallelism 1: a quarter of 1,000 records of each of four partitions, then the watermark.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
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
namespace {

constexpr std::int64_t kDisorder = 5'000;
constexpr std::int64_t kLateness = 60'000;
constexpr std::int64_t kInterval = 60'000;  // coalesced
constexpr std::int64_t kSlice = 5'000;
struct Window {
  const char* name;
  std::int64_t size, resolution;
};
constexpr std::array<Window, 3> kWindows{
    {{"5m", 300'000, 5'000}, {"1h", 3'600'000, 60'000}, {"24h", 86'400'000, 1'440'000}}};
constexpr std::size_t kNumWindows = kWindows.size();
constexpr std::size_t kPollRecords = 1000;

enum class Emit { kOnRecord, kOnWatermark, kCoalesced };

constexpr std::int64_t leave(std::size_t w, std::int64_t end) {
  return ceil_to(end, kWindows[w].resolution) + kWindows[w].size;
}

// Sums are exact: units of 2^-72 in 128 bits, enough for what run.py generates.

__int128 units_of(double x) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits << 1) == 0) return 0;
  const int shift = static_cast<int>((bits >> 52) & 0x7FF) - 1075 + 72;
  if (shift < 0 || shift > 60) fail("a value is out of range", std::to_string(x));
  const auto mantissa = static_cast<std::int64_t>((bits & ((1ULL << 52) - 1)) | (1ULL << 52));
  return static_cast<__int128>((bits >> 63) != 0 ? -mantissa : mantissa) << shift;
}
double value_of(__int128 units) { return static_cast<double>(units) * 0x1p-72; }

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

class Features {
 public:
  Features(const fs::path& dir, std::size_t partitions, Emit emit) : emit_(emit) {
    for (std::size_t p = 0; p < partitions; ++p)
      files_.push_back(std::make_unique<RowFile>(dir / ("partition-" + std::to_string(p))));
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
    user->json = "{\"user_id\":" + quoted(name);
    user->partition = (murmur2(name) & 0x7fffffffu) % static_cast<std::uint32_t>(files_.size());
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
        const std::int64_t interval = floor_to(at, kInterval);
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
    RowFile& file = *files_[user.partition];
    const std::string* last_action =
        user.next_leave == kMax ? nullptr : &action_json_[user.last_action];
    char* at = file.room(user.json.size() + (last_action ? last_action->size() : 0) + 512);
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
    file.end(put(at, std::string_view("}\n")));
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
  std::vector<std::unique_ptr<RowFile>> files_;
  std::array<std::array<std::string, 3>, kNumWindows> names_;
  Numbers numbers_;
  std::vector<std::unique_ptr<User>> users_;
  Numbers actions_;
  std::vector<std::string> action_json_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::uint64_t num_rows_ = 0;
};

int run(int argc, char** argv) {
  if (argc != 4) fail("usage", "hand_loop EVENTS_DIR ROWS_DIR on_record|on_watermark|coalesced");
  const std::string_view mode = argv[3];
  const Emit emit = mode == "on_record"      ? Emit::kOnRecord
                    : mode == "on_watermark" ? Emit::kOnWatermark
                                             : Emit::kCoalesced;
  std::vector<Partition> partitions;
  for (int p = 0; fs::exists(fs::path(argv[1]) / ("partition-" + std::to_string(p))); ++p)
    partitions.emplace_back(fs::path(argv[1]) / ("partition-" + std::to_string(p)));
  if (partitions.empty()) fail("there are no partitions", argv[1]);

  Features features(argv[2], partitions.size(), emit);
  Decoder decoder;
  const std::size_t each = kPollRecords / partitions.size();
  std::uint64_t events = 0;
  std::uint64_t late = 0;
  std::uint64_t bad = 0;
  std::int64_t watermark = kMin;
  bool is_over = false;
  for (std::size_t first = 0; !is_over; first = (first + 1) % partitions.size()) {
    for (std::size_t n = 0; n < partitions.size(); ++n) {
      const std::size_t p = (first + n) % partitions.size();
      Partition& partition = partitions[p];
      for (std::size_t i = 0; i < each && !partition.is_finished; ++i) {
        std::string_view line;
        Event event;
        if (!partition.next(line)) {
          partition.is_finished = true;
          break;
        }
        ++events;
        if (!decoder.decode(line, event)) {
          ++bad;
          continue;
        }
        if (partition.greatest != kMin && event.time < partition.greatest - kDisorder - kLateness) {
          ++late;
          continue;
        }
        partition.greatest = std::max(partition.greatest, event.time);
        event.partition = static_cast<std::int32_t>(p);
        event.offset = partition.offset - 1;
        features.take(event);
      }
    }
    std::int64_t merged = kMax;
    std::int64_t greatest = kMin;
    is_over = true;
    for (const Partition& p : partitions) {
      greatest = std::max(greatest, p.greatest);
      if (p.is_finished) continue;
      is_over = false;
      merged = std::min(merged, p.greatest == kMin ? kMin : p.greatest - kDisorder);
    }
    if (is_over) merged = greatest + 1;
    if (merged <= watermark) continue;
    watermark = merged;
    std::int64_t settled = watermark;
    if (emit != Emit::kOnRecord) settled -= kLateness;
    if (emit == Emit::kCoalesced) settled = floor_to(settled, kInterval);
    features.fire(settled, settled, settled);
  }
  // The end: every record takes effect; nothing decays beyond the greatest time.
  if (emit != Emit::kOnRecord) features.fire(kMax, watermark, watermark);
  std::printf("events %llu rows %llu late %llu bad %llu\n", static_cast<unsigned long long>(events),
              static_cast<unsigned long long>(features.num_rows()),
              static_cast<unsigned long long>(late), static_cast<unsigned long long>(bad));
  return 0;
}

}  // namespace
}  // namespace tidemill::hand

int main(int argc, char** argv) { return tidemill::hand::run(argc, argv); }
