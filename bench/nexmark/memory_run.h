// One run of one query over the input in memory, with the clock around it.
#pragma once

#include <cstdint>

#include "bench/nexmark/input.h"
#include "bench/nexmark/options.h"
#include "bench/nexmark/queries/queries.h"

namespace tidemill::nexmark {

struct RunResult {
  std::int64_t rows = 0;
  std::uint64_t checksum = 0;  // of runs that check
  std::int64_t weight = 0;     // the same: Tally::weight
  double wall_s = 0;
  double cpu_s = 0;                // of all threads of the process
  std::uint64_t tables_bytes = 0;  // of state in memory at the end; of runs in memory
};

// Between the first event and the end of all operators; what is made before (operators, state) and
// destroyed after is not in it. No checkpoint is taken. Throws what operators throw.
RunResult run_in_memory(const Query& query, const Input& input, const Options& options,
                        Outputs::Kind outputs);

}  // namespace tidemill::nexmark
