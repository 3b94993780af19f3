#include "service/scenario/command.h"

#include <charconv>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <ostream>
#include <sstream>
#include <string_view>

#include "app/config.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "service/scenario/parser.h"
#include "service/scenario/runner.h"

namespace tidemill::scenario {
namespace {

constexpr std::string_view kUsage = R"(usage: tidemill scenario [OPTIONS] FILE...

Runs scenario files: a pipeline, what happens to it, and after each step the rows that must come out.

  --restart-everywhere       restart from a checkpoint between every two steps
  --parallelism N            instead of what the files say
  --backend memory|rocksdb   where state is kept (default memory)
  --seed N                   shuffles the order in which tasks and channels are stepped
  --help

Exit codes: 0 all passed, 1 one failed, 2 wrong usage or a mistake in a file.
)";

struct Arguments {
  RunSettings settings;
  std::vector<std::string> files;
  bool wants_help = false;
};

[[noreturn]] void wrong(const std::string& what) {
  throw Error(ErrorCode::kConfig, what + "; see tidemill scenario --help");
}

std::int64_t read_number(const std::string& flag, const std::string& text, std::int64_t least,
                         std::int64_t most) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < least || number > most)
    wrong(flag + " takes a number from " + std::to_string(least) + " to " + std::to_string(most) +
          ": " + text);
  return number;
}

// FLAG VALUE and FLAG=VALUE.
class FlagReader {
 public:
  explicit FlagReader(const std::vector<std::string>& words) : words_(words) {}

  bool next() {
    if (at_ == words_.size()) return false;
    const std::string& word = words_[at_++];
    const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    flag_ = word.substr(0, equals);
    attached_ = equals == std::string::npos ? std::nullopt : std::optional(word.substr(equals + 1));
    return true;
  }
  [[nodiscard]] const std::string& flag() const { return flag_; }
  std::string value() {
    if (attached_) return *attached_;
    if (at_ == words_.size()) wrong("a value is missing: " + flag_);
    return words_[at_++];
  }
  void no_value() const {
    if (attached_) wrong("takes no value: " + flag_);
  }

 private:
  const std::vector<std::string>& words_;
  std::size_t at_ = 0;
  std::string flag_;
  std::optional<std::string> attached_;
};

Arguments read_arguments(const std::vector<std::string>& words) {
  Arguments a;
  FlagReader reader(words);
  while (reader.next()) {
    const std::string& flag = reader.flag();
    if (flag == "--help") {
      a.wants_help = true;
    } else if (flag == "--restart-everywhere") {
      reader.no_value();
      a.settings.restart_everywhere = true;
    } else if (flag == "--parallelism") {
      a.settings.parallelism =
          static_cast<int>(read_number(flag, reader.value(), 1, kMaxParallelism));
    } else if (flag == "--seed") {
      a.settings.seed = static_cast<std::uint64_t>(
          read_number(flag, reader.value(), 0, std::numeric_limits<std::int64_t>::max()));
    } else if (flag == "--backend") {
      a.settings.backend = reader.value();
      if (a.settings.backend != "memory" && a.settings.backend != "rocksdb")
        wrong("--backend takes memory or rocksdb: " + a.settings.backend);
    } else if (flag.starts_with("--")) {
      wrong("unknown flag: " + flag + "; did you mean " +
            nearest(flag,
                    {"--restart-everywhere", "--parallelism", "--backend", "--seed", "--help"}) +
            "?");
    } else {
      a.files.push_back(flag);
    }
  }
  if (!a.wants_help && a.files.empty()) wrong("no scenario files are given");
  return a;
}

class Report {
 public:
  Report(const RunSettings& settings, std::ostream& out, std::ostream& err)
      : settings_(settings), out_(out), err_(err) {}

  void run_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    if (file && !std::filesystem::is_directory(path)) {
      text << file.rdbuf();
    } else {
      err_ << path << ": cannot be read\n";
      ++mistakes_;
      return;
    }
    try {
      check(path, parse(text.view()));
    } catch (const Mistake& mistake) {
      err_ << path << ":" << mistake.line() << ":" << mistake.column() << ": " << mistake.what()
           << "\n";
      ++mistakes_;
    } catch (const std::exception& error) {
      out_ << path << ": the pipeline stopped: " << error.what() << "\n";
      ++failed_;
    }
  }

  int finish() {
    out_ << passed_ << " passed, " << failed_ << " failed\n";
    return mistakes_ > 0 ? 2 : failed_ > 0 ? 1 : 0;
  }

 private:
  void check(const std::string& path, const Scenario& scenario) {
    if (settings_.restart_everywhere && scenario.uses_idleness()) {
      out_ << path << ": skipped, since every restart forgets idleness\n";
      return;
    }
    const auto found = differences(scenario, settings_);
    ++(found.empty() ? passed_ : failed_);
    for (const Difference& d : found) {
      out_ << path << ":" << d.line << ": " << d.step << "\n";
      for (const std::string& row : d.missing) out_ << "  - " << row << "\n";
      for (const std::string& row : d.unexpected) out_ << "  + " << row << "\n";
    }
  }

  const RunSettings& settings_;
  std::ostream& out_;
  std::ostream& err_;
  std::size_t passed_ = 0;
  std::size_t failed_ = 0;
  std::size_t mistakes_ = 0;
};

}  // namespace

int run_command(const std::vector<std::string>& words, std::ostream& out, std::ostream& err) {
  Arguments arguments;
  try {
    arguments = read_arguments(words);
  } catch (const Error& error) {
    err << "tidemill scenario: " << error.what() << "\n";
    return exit_code(error.code());
  }
  if (arguments.wants_help) {
    out << kUsage;
    return 0;
  }
  Report report(arguments.settings, out, err);
  for (const std::string& file : arguments.files) report.run_file(file);
  return report.finish();
}

}  // namespace tidemill::scenario
