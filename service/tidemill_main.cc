// The `tidemill` program: a verb, then what belongs to it.
#include <algorithm>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "service/cli/command.h"
#include "service/scenario/command.h"
#include "service/server/command.h"
#include "service/server/foreground.h"
#include "service/server/job_question.h"
#include "service/server/log_writer.h"
#include "service/tools/output_rows.h"
#include "service/tools/verify_outputs.h"

namespace {

using Words = std::vector<std::string>;

int run_scenarios(const Words& words) {
  return tidemill::scenario::run_command(words, std::cout, std::cerr);
}

// These work on the folder of a server, running or not; `token list` asks one.
int run_token(const std::string& verb, Words words) {
  words.insert(words.begin(), verb);
  return tidemill::server::token_command(words);
}

// Verbs that do not ask a server; those that do are in service/cli/verbs.cc.
const std::vector<tidemill::cli::OtherVerb> kVerbs = {
    {"server", "supervise jobs on this machine, with a REST API and a page",
     tidemill::server::server_command},
    {"run", "supervise one job here, without a server: tidemill run ./job FLAGS",
     tidemill::server::run_command},
    {"token create", "make a token, on the server's machine",
     [](const Words& words) { return run_token("create", words); }},
    {"token delete", "end a token, on the server's machine",
     [](const Words& words) { return run_token("delete", words); }},
    {"scenario", "run scenario files", run_scenarios},
};

int run(const Words& words) {
  // Started by the server, not by people.
  if (!words.empty() && words.front() == "log-writer")
    return tidemill::server::log_writer_command({words.begin() + 1, words.end()});
  if (words.size() == 2 && words.front() == "compare-outputs")
    return tidemill::tools::compare_outputs_command(words[1]);
  if (words.size() == 2 && words.front() == "verify-outputs")
    return tidemill::tools::verify_outputs_command(words[1]);
  auto around = tidemill::cli::of_this_process();
  around.local = {
      [](const Words& command) {
        return tidemill::server::ask_dry_start({std::filesystem::read_symlink("/proc/self/exe"), "",
                                                "", command, tidemill::server::Variables::kAll});
      },
      [](const Words& command, const std::string& what) {
        return tidemill::server::ask_transactions(
            {std::filesystem::read_symlink("/proc/self/exe"), "", "", command,
             tidemill::server::Variables::kAll},
            what);
      },
      [](const Words& command, const Words& once) {
        return tidemill::server::run_in_foreground({{}, command, once});
      }};
  return tidemill::cli::run(words, kVerbs, around);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + std::min(argc, 1), argv + argc});
  } catch (const tidemill::Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return tidemill::exit_code(error.code());
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
