// The `tidemill` program: a verb, then what belongs to it.
#include <algorithm>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"
#include "app/version.h"
#include "service/scenario/command.h"
#include "service/server/command.h"
#include "service/server/log_writer.h"

namespace {

using Words = std::vector<std::string>;

struct Verb {
  std::string name;
  std::string line;  // for --help; empty: not for people
  int (*run)(const Words& words);
};

const Verb kVerbs[] = {
    {"server", "supervises jobs on this machine, with a REST API and a page",
     tidemill::server::server_command},
    {"token", "makes, lists and deletes the server's tokens", tidemill::server::token_command},
    {"scenario", "runs scenario files",
     [](const Words& words) {
       return tidemill::scenario::run_command(words, std::cout, std::cerr);
     }},
    {"log-writer", "", tidemill::server::log_writer_command},
};

std::string usage() {
  std::string text = "usage: tidemill VERB ...\n\n";
  for (const Verb& verb : kVerbs) {
    if (verb.line.empty()) continue;
    text += "  " + verb.name + std::string(12 - verb.name.size(), ' ') + verb.line + "\n";
  }
  return text + "\n  --help  --version     tidemill VERB --help says more\n";
}

}  // namespace

int main(int argc, char** argv) {
  const Words words(argv + std::min(argc, 1), argv + argc);
  if (words.empty()) {
    std::cerr << usage();
    return 2;
  }
  const std::string& asked = words.front();
  if (asked == "--help") {
    std::cout << usage();
    return 0;
  }
  if (asked == "--version") {
    std::cout << "tidemill " << tidemill::kVersionText << "\n";
    return 0;
  }
  Words known = {"--help", "--version"};
  for (const Verb& verb : kVerbs) {
    if (verb.name == asked) return verb.run({words.begin() + 1, words.end()});
    if (!verb.line.empty()) known.push_back(verb.name);
  }
  std::cerr << "tidemill: unknown verb: " << asked << "; did you mean "
            << tidemill::nearest(asked, known) << "? See tidemill --help\n";
  return 2;
}
