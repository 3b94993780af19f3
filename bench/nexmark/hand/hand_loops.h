// The hand-written loops by the name of their query.
#pragma once

#include <cstdint>
#include <string_view>

#include "bench/nexmark/input.h"

namespace tidemill::nexmark {

struct HandLoop {
  std::string_view query;
  std::int64_t (*count)(const EventLog&);  // runs it and gives the number of rows
  struct Checked {
    std::int64_t rows;
    std::uint64_t checksum;
  };
  Checked (*check)(const EventLog&);
};

// Null: the query has none (q6, q10, q12).
const HandLoop* find_hand_loop(std::string_view query);

}  // namespace tidemill::nexmark
