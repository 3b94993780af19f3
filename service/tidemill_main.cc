// The `tidemill` program: a verb, then what belongs to it.
#include <algorithm>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"
#include "app/version.h"
#include "service/scenario/command.h"

namespace {

constexpr std::string_view kUsage = R"(usage: tidemill VERB ...

  scenario FILE...   runs scenario files; tidemill scenario --help says more

  --help  --version
)";

const std::vector<std::string> kVerbs = {"scenario", "--help", "--version"};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (words.empty()) {
    std::cerr << kUsage;
    return 2;
  }
  const std::string& verb = words.front();
  if (verb == "--help") {
    std::cout << kUsage;
    return 0;
  }
  if (verb == "--version") {
    std::cout << "tidemill " << tidemill::kVersionText << "\n";
    return 0;
  }
  if (verb == "scenario")
    return tidemill::scenario::run_command({words.begin() + 1, words.end()}, std::cout, std::cerr);
  std::cerr << "tidemill: unknown verb: " << verb << "; did you mean "
            << tidemill::nearest(verb, kVerbs) << "? See tidemill --help\n";
  return 2;
}
