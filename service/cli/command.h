// The `tidemill` program's words: which verb runs, what --help, completion and a misspelt word
// give.
#pragma once

#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "service/cli/verbs.h"

namespace tidemill::cli {

// A verb that is not of this folder's table.
struct OtherVerb {
  std::string_view verb;  // may be two words
  std::string_view line;
  std::function<int(const std::vector<std::string>& words)> run;  // the words behind the verb
};

// Where to print, and how long to wait between two looks at something that goes on.
struct Surroundings {
  std::ostream& out;
  std::ostream& err;
  std::size_t width = 0;        // of the terminal; 0: no terminal
  std::function<bool()> pause;  // false: that is enough
  LocalJobs local = {};
};

// What this process has: stdout, stderr, the terminal's width, half a second.
[[nodiscard]] Surroundings of_this_process();

// Runs one verb; gives the exit code: 0, 1 failed, 2 wrong usage, 3 refused for safety.
int run(const std::vector<std::string>& words, std::span<const OtherVerb> others,
        const Surroundings& around);

}  // namespace tidemill::cli
