// The verbs that ask a server, or a job itself: one table, which parsing, --help and completion of
// the shell are made from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidemill::cli {

struct Argument {
  std::string_view name;   // "JOB": by its place; "--from"
  std::string_view value;  // what a flag takes, "ID"; empty: nothing
  std::string_view line;
  enum class Need { kMaybe, kRequired, kRepeatable } need = Need::kMaybe;
};

// What a verb does on this machine without a server. The program gives it: this folder knows of
// processes nothing.
struct LocalJobs {
  // What `command`, a binary and its arguments, answers to --dry-start.
  std::function<std::string(const std::vector<std::string>& command)> dry_start;
  // What it answers to --transactions status, abort or force-abort.
  std::function<std::string(const std::vector<std::string>& command, const std::string& what)>
      transactions;
  // Supervises it in the foreground to its end, with `once` until it has made a checkpoint; its
  // exit code.
  std::function<int(const std::vector<std::string>& command, const std::vector<std::string>& once)>
      run;
};

// What was given, and where to print; of one run of a verb.
struct Invocation {
  std::map<std::string, std::vector<std::string>, std::less<>> given;  // by Argument::name
  std::ostream& out;
  std::ostream& err;
  std::size_t width = 0;  // of the terminal; 0: no terminal
  std::int64_t now_ms = 0;
  std::function<bool()> pause;  // between two looks at something; false: that is enough
  LocalJobs local = {};

  [[nodiscard]] bool has(std::string_view name) const { return given.count(name) != 0; }
  // Empty if it was not given.
  [[nodiscard]] std::string text(std::string_view name) const {
    const auto at = given.find(name);
    return at == given.end() ? std::string() : at->second.front();
  }
};

struct Verb {
  std::string_view name;  // "status"; may be two words, "token list"
  std::string_view line;
  std::vector<Argument> arguments;
  bool asks_job_too;  // takes --at instead of JOB
  void (*run)(const Invocation&);
};

[[nodiscard]] std::span<const Verb> verbs();
// The flags that every verb has.
[[nodiscard]] std::span<const Argument> common_flags();
// --at of verbs that ask a job too.
[[nodiscard]] const Argument& job_address();

}  // namespace tidemill::cli
