// A query as a job of its own over a file log: with checkpoints and every flag of a job
// (docs/operations.md), so that it can be killed and goes on.
#pragma once

#include <cstdint>
#include <string>

#include "bench/nexmark/options.h"
#include "bench/nexmark/queries/queries.h"

namespace tidemill::nexmark {

struct FileJobResult {
  int exit_code = 0;
  bool has_run = true;  // false: a flag asked for something else (--explain, --validate, ...)
  std::int64_t rows = 0;       // of the final table; of this process alone where they are counted
  std::uint64_t checksum = 0;  // with --sink file: of all that is committed
  double wall_s = 0;
  double cpu_s = 0;
};

// Makes the log first, unless it is there.
FileJobResult run_file_job(const Query& query, const Options& options);

}  // namespace tidemill::nexmark
