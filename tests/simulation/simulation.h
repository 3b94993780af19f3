// A whole job under the seeded scheduler: random input, parallelism, crashes and restarts; the
// committed output, as a multiset, against a recomputation from the definitions.
#pragma once

#include <cstdint>
#include <string>

namespace tidemill::simulation {

struct Verdict {
  bool is_right = false;
  std::string difference;  // empty if right; names the seed, so that it can be run again
};

Verdict run(std::uint64_t seed);

}  // namespace tidemill::simulation
