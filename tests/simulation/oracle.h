// What a simulated job must have committed, from the definitions of docs/semantics.md, with nothing
// of the engine but its time arithmetic.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/time.h"

namespace tidemill::simulation {

struct Event {
  std::int64_t key = 0;
  std::int64_t value = 0;
  EventTime time{};
  std::int32_t partition = 0;
  std::int64_t offset = 0;  // in its partition
};

struct Rules {
  Duration disorder{};
  Duration lateness{};
  Duration size{};                                      // of the aligned windows
  Duration slide{};                                     // equal: tumbling
  std::vector<std::pair<Duration, Duration>> trailing;  // size, resolution
};

using Rows = std::multiset<std::string>;

// Spellings shared by the oracle and the job's sinks.
std::string window_row(std::int64_t key, EventTime start, EventTime end, std::int64_t sum);
std::string trailing_row(std::int64_t key, EventTime at, const std::vector<std::int64_t>& counts);
std::string late_row(std::int32_t partition, std::int64_t offset);

// All rows for partitions[p] = the events of partition p in order.
Rows expected(const std::vector<std::vector<Event>>& partitions, const Rules& rules);

}  // namespace tidemill::simulation
