#include "service/cli/command.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <sys/ioctl.h>
#include <thread>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "app/config.h"
#include "app/version.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "service/cli/completion.h"
#include "service/cli/connection.h"
#include "service/cli/table.h"
#include "service/cli/verbs.h"

namespace tidemill::cli {
namespace {

constexpr std::size_t kVerbColumn = 13;

using Words = std::vector<std::string>;

// How many words of `words` are this verb's name; 0: it is another one.
std::size_t words_of(std::string_view verb, const Words& words) {
  std::size_t count = 0;
  while (true) {
    const std::size_t blank = verb.find(' ');
    if (count == words.size() || words[count] != verb.substr(0, blank)) return 0;
    ++count;
    if (blank == std::string_view::npos) return count;
    verb.remove_prefix(blank + 1);
  }
}

std::vector<Argument> arguments_of(const Verb& verb) {
  std::vector<Argument> all = verb.arguments;
  if (verb.asks_job_too) all.push_back(job_address());
  all.insert(all.end(), common_flags().begin(), common_flags().end());
  return all;
}

// CLI11 would complain of what is missing before it does of what is misspelt.
void check_flags(const Verb& verb, const std::vector<Argument>& known, const Words& words) {
  std::vector<std::string> names = {"--help"};
  for (const Argument& argument : known) {
    if (argument.name.starts_with('-')) names.emplace_back(argument.name);
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--") return;
    if (!words[i].starts_with('-') || words[i] == "-" || words[i] == "-h") continue;
    const std::string name = words[i].substr(0, words[i].find('='));
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw Error(ErrorCode::kConfig, std::string(verb.name) + ": unknown flag: " + name +
                                          "; did you mean " + nearest(name, names) + "? tidemill " +
                                          std::string(verb.name) + " --help");
    const auto argument = std::find_if(known.begin(), known.end(),
                                       [&](const Argument& one) { return one.name == name; });
    if (argument != known.end() && !argument->value.empty() && name == words[i]) ++i;
  }
}

// Nothing: help was printed. Throws Error(kConfig).
bool parse(const Verb& verb, const Words& words, Invocation& invocation) {
  const std::vector<Argument> known = arguments_of(verb);
  check_flags(verb, known, words);
  CLI::App app(std::string(verb.line), "tidemill " + std::string(verb.name));
  app.set_help_flag("-h,--help", "print this and exit");
  std::map<std::string, Words, std::less<>> values;
  std::map<std::string, CLI::Option*, std::less<>> options;
  for (const Argument& argument : known) {
    const std::string name(argument.name);
    const std::string line(argument.line);
    CLI::Option*& option = options[name];
    if (argument.value.empty() && name.starts_with('-')) {
      option = app.add_flag(name, line);
      continue;
    }
    option = app.add_option(name, values[name], line)
                 ->expected(1)
                 ->allow_extra_args(false)  // else the first of two places takes both words
                 ->type_name(std::string(argument.value))
                 ->multi_option_policy(argument.need == Argument::Need::kRepeatable
                                           ? CLI::MultiOptionPolicy::TakeAll
                                           : CLI::MultiOptionPolicy::Throw);
    const bool may_be_asked_itself =
        name == "JOB" && verb.asks_job_too &&
        std::any_of(words.begin(), words.end(), [](const std::string& word) {
          return word == job_address().name ||
                 word.starts_with(std::string(job_address().name) + "=");
        });
    option->required(argument.need == Argument::Need::kRequired && !may_be_asked_itself);
  }
  try {
    app.parse(Words(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    invocation.out << app.help();
    return false;
  } catch (const CLI::ParseError& error) {
    throw Error(ErrorCode::kConfig, std::string(verb.name) + ": " + error.what() + "; tidemill " +
                                        std::string(verb.name) + " --help");
  }
  for (const auto& [name, option] : options) {
    if (option->count() == 0) continue;
    invocation.given[name] = values.count(name) != 0 ? values[name] : Words{"true"};
    if (invocation.text(name).empty())
      throw Error(ErrorCode::kConfig, std::string(verb.name) + ": " + name + " is empty");
  }
  if (invocation.has("--at") && (invocation.has("JOB") || invocation.has("--server")))
    throw Error(ErrorCode::kConfig, std::string(verb.name) +
                                        ": --at asks one job itself; leave out " +
                                        (invocation.has("JOB") ? "JOB" : "--server"));
  return true;
}

int run_verb(const Verb& verb, const Words& words, const Surroundings& around) {
  Invocation invocation{
      {},           around.out,  around.err, around.width, SystemClock().processing_time().ms,
      around.pause, around.local};
  const auto complain = [&](const std::string& what, const std::string& next) {
    around.out.flush();
    around.err << "error: " << printable(what) << "\n";
    if (!next.empty()) around.err << "next: " << printable(next) << "\n";
  };
  try {
    if (parse(verb, words, invocation)) verb.run(invocation);
    around.out.flush();
    if (around.out) return 0;
    complain("the answer could not be written", "is the disk full, or the pipe closed?");
    return 1;
  } catch (const CallFailed& failed) {
    if (invocation.has("--json") && !failed.body().empty()) around.out << failed.body();
    complain(failed.what(), failed.next());
    return failed.exit_code();
  } catch (const Error& error) {
    complain(error.what(), "");
    return exit_code(error.code());
  } catch (const std::exception& error) {
    complain(error.what(), "");
    return 1;
  }
}

constexpr const char* kCompletionUsage = "usage: tidemill completion bash|zsh\n";

using VerbLines = std::vector<std::pair<std::string, std::string>>;

void print_verb(std::ostream& out, std::string name, std::string_view line) {
  if (name.size() < kVerbColumn) name.resize(kVerbColumn, ' ');
  out << "  " << name << " " << line << "\n";
}

void print_usage(std::ostream& out, const VerbLines& others) {
  out << "usage: tidemill VERB ...; tidemill VERB --help says what it takes\n\n";
  for (const Verb& verb : verbs()) print_verb(out, std::string(verb.name), verb.line);
  out << "\n";
  for (const auto& [name, line] : others) print_verb(out, name, line);
  print_verb(out, "completion", "print completion for a shell: bash or zsh");
  out << "\n  --help  --version\n\nThe server is --server URL, or TIDEMILL_SERVER, or "
         "http://127.0.0.1:8090. Exit codes: 0 done, 1 failed,\n2 wrong usage, 3 refused for "
         "safety (would lose or double data).\n";
}

bool asks_for_help(const std::string& word) { return word == "--help" || word == "-h"; }

// `tidemill state`, `tidemill state --help`: the verbs that begin so; nothing: no verb does.
std::optional<int> tell_group(const Words& words, const VerbLines& others,
                              const Surroundings& around) {
  const bool wants_help = words.size() == 2 && asks_for_help(words[1]);
  if (words.size() != 1 && !wants_help) return std::nullopt;
  VerbLines found;
  const auto look = [&](std::string_view name, std::string_view line) {
    if (name.starts_with(words.front() + " ")) found.emplace_back(name, line);
  };
  for (const Verb& verb : verbs()) look(verb.name, verb.line);
  for (const auto& [name, line] : others) look(name, line);
  if (found.empty()) return std::nullopt;
  std::ostream& out = wants_help ? around.out : around.err;
  out << "usage: tidemill " << words.front() << " VERB ...; VERB --help says what it takes\n\n";
  for (const auto& [name, line] : found) print_verb(out, name, line);
  return wants_help ? 0 : 2;
}

int unknown(const Words& words, const VerbLines& others, std::ostream& err) {
  std::vector<std::string> names = {"completion", "--help", "--version"};
  for (const Verb& verb : verbs()) names.emplace_back(verb.name);
  for (const auto& [name, line] : others) names.push_back(name);
  // "token lst": the nearest of two words, if the first begins such a verb.
  std::string word = words.front();
  const bool begins = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name.starts_with(word + " ");
  });
  if (begins && words.size() > 1) word += " " + words[1];
  err << "tidemill: unknown verb: " << printable(word) << "; did you mean " << nearest(word, names)
      << "? See tidemill --help\n";
  return 2;
}

}  // namespace

Surroundings of_this_process() {
  winsize size{};
  const bool is_terminal =
      ::isatty(STDOUT_FILENO) != 0 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  return {std::cout,
          std::cerr,
          is_terminal ? std::size_t{size.ws_col} : 0,
          [] {
            std::this_thread::sleep_for(std::chrono::milliseconds(500));
            return true;
          },
          {}};
}

int run(const Words& words, std::span<const OtherVerb> others, const Surroundings& around) {
  VerbLines lines;
  for (const OtherVerb& other : others) lines.emplace_back(other.verb, other.line);
  if (words.empty()) {
    print_usage(around.err, lines);
    return 2;
  }
  const std::string& first = words.front();
  if (asks_for_help(first) || first == "help") {
    print_usage(around.out, lines);
    return 0;
  }
  if (first == "--version") {
    around.out << "tidemill " << kVersionText << "\n";
    return 0;
  }
  if (first == "completion") {
    if (words.size() == 2 && asks_for_help(words[1])) {
      around.out << kCompletionUsage;
      return 0;
    }
    const auto script = completion(words.size() == 2 ? words[1] : "", lines);
    if (!script) {
      around.err << kCompletionUsage;
      return 2;
    }
    around.out << *script;
    return 0;
  }
  const auto rest = [&](std::size_t count) {
    return Words(words.begin() + static_cast<std::ptrdiff_t>(count), words.end());
  };
  for (const OtherVerb& other : others) {
    if (const std::size_t count = words_of(other.verb, words)) return other.run(rest(count));
  }
  for (const Verb& verb : verbs()) {
    if (const std::size_t count = words_of(verb.name, words))
      return run_verb(verb, rest(count), around);
  }
  if (const auto told = tell_group(words, lines, around)) return *told;
  return unknown(words, lines, around.err);
}

}  // namespace tidemill::cli
