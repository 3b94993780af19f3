// The `tidemill` program: a verb, then what belongs to it.
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "service/cli/command.h"
#include "service/scenario/command.h"
#include "service/server/command.h"
#include "service/server/log_writer.h"

namespace {

using Words = std::vector<std::string>;

int run_scenarios(const Words& words) {
  return tidemill::scenario::run_command(words, std::cout, std::cerr);
}

// Verbs that do not ask a server; those that do are in service/cli/verbs.cc.
const std::vector<tidemill::cli::OtherVerb> kVerbs = {
    {"server", "supervise jobs on this machine, with a REST API and a page",
     tidemill::server::server_command},
    {"token", "make, list and delete tokens, on the server's machine",
     tidemill::server::token_command},
    {"scenario", "run scenario files", run_scenarios},
};

}  // namespace

int main(int argc, char** argv) {
  const Words words(argv + std::min(argc, 1), argv + argc);
  // Started by the server, not by people.
  if (!words.empty() && words.front() == "log-writer")
    return tidemill::server::log_writer_command({words.begin() + 1, words.end()});
  return tidemill::cli::run(words, kVerbs, tidemill::cli::of_this_process());
}
