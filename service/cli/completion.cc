#include "service/cli/completion.h"

#include <map>
#include <vector>

#include "service/cli/verbs.h"

namespace tidemill::cli {
namespace {

struct Candidates {
  std::string line;
  std::vector<std::pair<std::string, std::string>> flags;    // and what they are
  std::vector<std::pair<std::string, std::string>> seconds;  // words behind the first one
};

// By the first word of the verb.
std::map<std::string, Candidates> all_words(
    std::span<const std::pair<std::string, std::string>> others) {
  std::map<std::string, Candidates> all;
  const auto entry = [&](std::string_view verb, std::string_view line) -> Candidates& {
    const std::size_t blank = verb.find(' ');
    Candidates& words = all[std::string(verb.substr(0, blank))];
    if (blank != std::string_view::npos) words.seconds.emplace_back(verb.substr(blank + 1), line);
    if (words.line.empty()) words.line = line;
    return words;
  };
  for (const Verb& verb : verbs()) {
    Candidates& words = entry(verb.name, verb.line);
    const auto add = [&](const Argument& argument) {
      if (argument.name.starts_with('-')) words.flags.emplace_back(argument.name, argument.line);
    };
    for (const Argument& argument : verb.arguments) add(argument);
    if (verb.asks_job_too) add(job_address());
    for (const Argument& argument : common_flags()) add(argument);
    words.flags.emplace_back("--help", "what it takes");
  }
  for (const auto& [verb, line] : others) entry(verb, line).flags.emplace_back("--help", "");
  all["completion"] = {"a script for bash or zsh", {}, {{"bash", "for bash"}, {"zsh", "for zsh"}}};
  return all;
}

std::string bash(const std::map<std::string, Candidates>& all) {
  std::string verbs;
  std::string cases;
  for (const auto& [verb, words] : all) {
    verbs += " " + verb;
    std::string flags;
    for (const auto& [flag, line] : words.flags) flags += " " + flag;
    std::string seconds;
    for (const auto& [second, line] : words.seconds) seconds += " " + second;
    cases += "    " + verb + ") flags='" + flags + "' seconds='" + seconds + "' ;;\n";
  }
  return R"(# bash completion of tidemill: source <(tidemill completion bash)
_tidemill() {
  local word=${COMP_WORDS[COMP_CWORD]} flags='' seconds=''
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W ')" +
         verbs + R"( --help --version' -- "$word"))
    return
  fi
  case ${COMP_WORDS[1]} in
)" + cases +
         R"(  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  elif [[ -n $seconds ]]; then
    ((COMP_CWORD == 2)) && COMPREPLY=($(compgen -W "$seconds" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _tidemill tidemill
)";
}

// As an entry of _describe: name:line, in single quotes.
std::string described(const std::string& name, const std::string& line) {
  std::string text = "'";
  for (const char c : name + ":" + line)
    text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string zsh(const std::map<std::string, Candidates>& all) {
  std::string verbs;
  std::string cases;
  for (const auto& [verb, words] : all) {
    verbs += "    " + described(verb, words.line) + "\n";
    std::string flags;
    for (const auto& [flag, line] : words.flags) flags += " " + described(flag, line);
    std::string seconds;
    for (const auto& [second, line] : words.seconds) seconds += " " + described(second, line);
    cases += "    " + verb + ") flags=(" + flags + ") seconds=(" + seconds + ") ;;\n";
  }
  return "#compdef tidemill\n# zsh completion of tidemill: tidemill completion zsh > "
         "DIR/_tidemill, DIR in fpath\n_tidemill() {\n  local -a verbs flags seconds\n  verbs=(\n" +
         verbs +
         R"(  )
  if ((CURRENT == 2)); then
    _describe 'verb' verbs
    return
  fi
  case ${words[2]} in
)" + cases +
         R"(  esac
  if [[ ${words[CURRENT]} == -* ]]; then
    _describe 'flag' flags
  elif ((${#seconds} && CURRENT == 3)); then
    _describe 'word' seconds
  else
    _files
  fi
}
if [[ ${funcstack[1]} == _tidemill ]]; then
  _tidemill
else
  compdef _tidemill tidemill
fi
)";
}

}  // namespace

std::optional<std::string> completion(std::string_view shell,
                                      std::span<const std::pair<std::string, std::string>> others) {
  const auto words = all_words(others);
  if (shell == "bash") return bash(words);
  if (shell == "zsh") return zsh(words);
  return std::nullopt;
}

}  // namespace tidemill::cli
