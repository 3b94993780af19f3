// Runs scenarios on the real engine and compares what comes out, step by step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "service/scenario/scenario.h"

namespace tidemill::scenario {

struct RunSettings {
  bool restart_everywhere = false;
  int parallelism = 0;  // 0: the scenario's
  std::string backend = "memory";
  std::uint64_t seed = 0;  // 0: round robin
};

// A step that did not give the rows it must.
struct Difference {
  std::size_t line = 0;
  std::string step;
  std::vector<std::string> missing;     // canonical, sorted
  std::vector<std::string> unexpected;  // likewise
};

// The rows of each step, canonical and sorted. Throws Error if the engine does.
std::vector<std::vector<std::string>> run(const Scenario& scenario, const RunSettings& settings);

std::vector<Difference> differences(const Scenario& scenario, const RunSettings& settings);

}  // namespace tidemill::scenario
