// The states in data/before_types, with their types as they were when it was written: at commit
// 83d1344, before checkpoints knew the types of states. `fill` is what wrote it, `key_of` and the
// rest say what is in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe.hpp>

#include "state/keyed_list.h"
#include "state/keyed_table.h"
#include "state/keyed_value.h"
#include "state/operator_state.h"
#include "state/timers.h"
#include "state/windowed_value.h"
#include "tests/state/attempt.h"

namespace tidemill::old_state {

enum class Colour : std::uint8_t { kRed, kBlue };

struct Place {
  std::string city;
  std::int32_t floor = 0;
  friend bool operator==(const Place&, const Place&) = default;
};
BOOST_DESCRIBE_STRUCT(Place, (), (city, floor))

struct Seen {
  std::string country;
  EventTime at{};
  std::int32_t times = 0;
  float share = 0;
  Colour colour = Colour::kRed;
  std::optional<Place> last;
  std::vector<Place> places;
  friend bool operator==(const Seen&, const Seen&) = default;
};
BOOST_DESCRIBE_STRUCT(Seen, (), (country, at, times, share, colour, last, places))

struct Rules {
  std::int64_t limit = 0;
  std::string name;
  friend bool operator==(const Rules&, const Rules&) = default;
};
BOOST_DESCRIBE_STRUCT(Rules, (), (limit, name))

inline constexpr int kKeys = 40;
inline constexpr std::uint32_t kGroups = 16;

inline std::string key_of(int i) { return "user" + std::to_string(i); }
inline Place place_of(int i) { return {"city" + std::to_string(i), i}; }
inline Seen seen_of(int i) {
  return {"SE",
          EventTime{i * 1000 - 5},
          -i,
          0.5F * static_cast<float>(i),
          i % 2 == 0 ? Colour::kRed : Colour::kBlue,
          i % 3 == 0 ? std::nullopt : std::optional(place_of(i)),
          std::vector<Place>(static_cast<std::size_t>(i % 4), place_of(i))};
}
inline Rules rules_of(std::size_t subtask) {
  return {static_cast<std::int64_t>(subtask) + 7, "rules"};
}

struct States {
  explicit States(OperatorContext& ctx)
      : seen(ctx, "seen"),
        counts(ctx, "counts"),
        panes(ctx, "panes"),
        rows(ctx, "rows"),
        list(ctx, "list"),
        timers(ctx, "timers"),
        rules(ctx, "rules"),
        clocks(ctx, "clocks") {}
  KeyedValue<std::string, Seen> seen;
  KeyedValue<std::string, std::int32_t> counts;
  WindowedValue<std::string, Place> panes;
  KeyedTable<std::string, EventTime, Place> rows;
  KeyedList<std::string, Place> list;
  Timers<std::string> timers;
  OperatorState<Rules> rules;
  KeyGroupClocks clocks;
};

inline void fill(testing::Attempt<States>& run) {
  for (int i = 0; i < kKeys; ++i) {
    const std::string key = key_of(i);
    const std::uint64_t hash = key_hash(key);
    States& op = run.op_of(hash);
    op.seen.at(key, hash) = seen_of(i);
    op.counts.at(key, hash) = -i;
    op.panes.at(EventTime{1000 * (i % 4)}, key, hash) = place_of(i);
    op.rows.put(key, hash, EventTime{-5}, place_of(i));
    op.rows.put(key, hash, EventTime{i}, place_of(0));
    op.list.append(key, hash, place_of(i));
    op.list.append(key, hash, place_of(1));
    op.timers.set(EventTime{i / 10}, key, hash);
  }
  for (std::size_t s = 0; s < run.size(); ++s) {
    *run.op(s).rules = rules_of(s);
    const KeyGroupRange own = run.groups_of(s);
    for (KeyGroup g = own.begin; g < own.end; ++g)
      run.op(s).clocks[g] = EventTime{static_cast<std::int64_t>(g)};
  }
}

}  // namespace tidemill::old_state
