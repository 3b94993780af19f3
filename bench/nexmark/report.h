// What a run prints: a line of a table, or a JSON object.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bench/nexmark/memory_run.h"
#include "bench/nexmark/options.h"

namespace tidemill::nexmark {

struct Report {
  std::string query;
  RunResult run;
  bool has_checksum = false;
  std::optional<double> hand_cpu_s;     // the same by hand
  std::optional<bool> is_as_published;  // where there is something to compare with
};

void print_header(const Options& options);
void print_report(const Options& options, const Report& report);

}  // namespace tidemill::nexmark
