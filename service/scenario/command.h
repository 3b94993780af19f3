// `tidemill scenario [--restart-everywhere] [--parallelism N] [--backend memory|rocksdb] [--seed N]
// FILE…`
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace tidemill::scenario {

// Prints differences and the last line, `N passed, N failed`, to `out`, mistakes to `err`; returns
// the exit code: 0 all passed, 1 one failed, 2 wrong usage or a mistake in a file.
int run_command(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace tidemill::scenario
