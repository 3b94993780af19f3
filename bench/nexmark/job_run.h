// A query as a job of its own over a log of events, in files or in Kafka: with checkpoints and
// every flag of a job (docs/operations.md), so that it can be killed and goes on.
#pragma once

#include <cstdint>
#include <string>

#include "bench/nexmark/options.h"
#include "bench/nexmark/queries/queries.h"

namespace tidemill::nexmark {

struct JobRunResult {
  int exit_code = 0;
  bool has_run = true;      // false: a flag asked for something else (--explain, --validate, ...)
  std::int64_t events = 0;  // read by this process
  std::int64_t rows = 0;    // of the final table: of all that is committed; where the sink only
  std::uint64_t checksum = 0;  // counts, of this process
  std::int64_t weight = 0;     // of q12
  int parallelism = 1;         // by whatever of the flags, the environment or a file decided
  std::string backend;
  double wall_s = 0;  // from the plan to the job's end
  double cpu_s = 0;
};

// Makes the log first, unless it is there. Throws Error(kConfig) for what no job can do.
JobRunResult run_as_job(const Query& query, const Options& options);

}  // namespace tidemill::nexmark
