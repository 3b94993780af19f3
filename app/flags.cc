#include "app/flags.h"

#include <cstdio>
#include <filesystem>
#include <map>
#include <utility>

#include <CLI/CLI.hpp>

#include "app/version.h"
#include "engine/base/error.h"

namespace tidemill {
namespace {

struct SettingFlag {
  const char* key;
  const char* help;
  bool is_list = false;  // may be given again and again
};

// Flags that stand for a setting: the dotted key with dashes.
constexpr SettingFlag kSettings[] = {
    {"parallelism", "number of worker threads (the cores)"},
    {"checkpoint.dir", "where checkpoints are kept"},
    {"checkpoint.interval", "time between checkpoints, e.g. 1s"},
    {"restore", "latest (the last committed one), ID or none"},
    {"accept.loss", "TOPIC:P,…: go on although records of these partitions are gone"},
    {"assume.committed", "ID: vouch for a checkpoint whose commit record is missing"},
    {"drop.state",
     "NAME: forget state of an operator (or OPERATOR/STATE) that is gone (repeatable)", true},
    {"rename.state",
     "OLD=NEW: an operator (or OPERATOR/STATE) has another name than in the checkpoint "
     "(repeatable)",
     true},
    {"from.offsets",
     "earliest, latest, committed[:earliest|:latest] or TOPIC:P=N,… (first start only)"},
    {"from.time", "start at the first record at or after this time (first start only)"},
    {"until.offsets", "latest, committed or TOPIC:P=N,…: end there"},
    {"until.time", "end at the first record at or after this time"},
    {"as", "NAME: isolated replay under JOB.NAME"},
    {"from.checkpoint", "JOB[/ID]: with --as, begin with the state of that checkpoint"},
    {"hold.offsets", "TOPIC:P=N,…: stop before these offsets without ending"},
    {"take.over",
     "JOB.NAME[/ID]: take the state of a replay that stands at the same offsets, then end"},
    {"rate", "limit of the sources, e.g. 50MB/s or 20000/s"},
    {"http", "ADDR:PORT of metrics, health and the page; none: off"},
    {"control", "PATH of a Unix socket by which this job is controlled"},
    {"log.level", "debug, info, warn or error"},
    {"log.format", "text or json"},
};

std::vector<std::string> all_flags() {
  std::vector<std::string> flags = {"--config",
                                    "--set",
                                    "--print-config",
                                    "--validate",
                                    "--explain",
                                    "--accept-duplicates",
                                    "--dry-start",
                                    "--transactions",
                                    "--list-checkpoints",
                                    "--inspect",
                                    "--describe-state",
                                    "--check-upgrade",
                                    "--help",
                                    "--version"};
  for (const SettingFlag& s : kSettings) flags.push_back(Config::flag_of(s.key));
  return flags;
}

}  // namespace

std::optional<Flags> parse_flags(int argc, char** argv, const std::string& description) {
  CLI::App app(description);
  app.set_help_flag("-h,--help", "print this and exit");
  Flags flags;
  std::vector<std::string> sets;
  bool version = false;
  bool accept_duplicates = false;
  std::string explain;
  app.add_option("--config", flags.config_file, "YAML file of settings");
  app.add_option("--set", sets, "key.path=value: any setting (repeatable)")
      ->expected(1)
      ->take_all();
  app.add_flag("--print-config", flags.print_config,
               "print the effective settings and where each comes from, and exit");
  app.add_flag("--validate", flags.validate,
               "check everything that can be checked before the first record, and exit");
  app.add_flag("--dry-start", flags.dry_start,
               "go through a start up to its first record without changing anything, print what it "
               "would do as JSON, and exit");
  std::string transactions;
  auto* transactions_option = app.add_option(
      "--transactions", transactions,
      "status, abort or force-abort: what open transactions hold back; end the job's; and exit");
  auto* explain_option =
      app.add_option("--explain", explain, "print the plan as text, dot or json, and exit")
          ->expected(0, 1);
  app.add_flag("--list-checkpoints", flags.list_checkpoints, "print the checkpoints and exit");
  std::string inspect;
  auto* inspect_option =
      app.add_option("--inspect", inspect, "print what is in a checkpoint and exit");
  std::string describe;
  auto* describe_option =
      app.add_option("--describe-state", describe,
                     "print the operators and the types of their state as json, and exit")
          ->expected(0, 1);
  std::string upgrade;
  auto* upgrade_option = app.add_option(
      "--check-upgrade", upgrade,
      "say as json whether this program can go on from a checkpoint (ID, latest or its folder), "
      "what becomes of its state, and exit as a restore would");
  app.add_flag("--accept-duplicates", accept_duplicates, "allow a restore that repeats output");
  app.add_flag("--version", version, "print the version and exit");
  std::map<std::string, std::vector<std::string>> values;
  std::map<std::string, CLI::Option*> options;
  for (const SettingFlag& s : kSettings) {
    options[s.key] = app.add_option(Config::flag_of(s.key), values[s.key], s.help)
                         ->expected(1)
                         ->multi_option_policy(s.is_list ? CLI::MultiOptionPolicy::TakeAll
                                                         : CLI::MultiOptionPolicy::Throw);
  }
  app.footer(
      "Every setting is also a key of the YAML file and a variable (--checkpoint-dir = "
      "checkpoint.dir = TIDEMILL_CHECKPOINT_DIR);\n"
      "a flag wins over the environment, that over the file. Exit codes: 0 finished or stopped as "
      "asked, 1 failed,\n"
      "2 wrong usage or configuration, 3 refused for safety (would lose or double data).");
  app.allow_extras();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::printf("%s", app.help().c_str());
    return std::nullopt;
  } catch (const CLI::ParseError& e) {
    throw Error(ErrorCode::kConfig, std::string(e.what()) + "; --help lists the flags");
  }
  if (const auto extras = app.remaining(); !extras.empty()) {
    const std::string word = extras.front().substr(0, extras.front().find('='));
    throw Error(ErrorCode::kConfig, "unknown argument: " + extras.front() + "; did you mean " +
                                        nearest(word, all_flags()) +
                                        "? --help lists the flags; what has none is given by --set "
                                        "key=value");
  }
  if (version) {
    std::printf("%s %s\n", std::filesystem::path(argv[0]).filename().c_str(), kVersionText);
    return std::nullopt;
  }
  if (explain_option->count() > 0) flags.explain = explain.empty() ? "text" : explain;
  if (inspect_option->count() > 0) flags.inspect = inspect;
  if (transactions_option->count() > 0) flags.transactions = transactions;
  if (describe_option->count() > 0) flags.describe_state = describe.empty() ? "json" : describe;
  if (upgrade_option->count() > 0) flags.check_upgrade = upgrade;
  for (const std::string& set : sets) {
    const std::size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error(ErrorCode::kConfig, "--set wants key.path=value: " + set);
    flags.settings.emplace_back(set.substr(0, equals), set.substr(equals + 1));
  }
  for (const auto& [key, option] : options) {
    if (option->count() == 0) continue;
    std::string all;
    for (const std::string& value : values[key]) all += (all.empty() ? "" : ",") + value;
    flags.settings.emplace_back(key, all);
  }
  if (accept_duplicates) flags.settings.emplace_back("accept.duplicates", "true");
  return flags;
}

}  // namespace tidemill
