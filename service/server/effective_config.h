// What a job binary says of its settings (--print-config), which is also how the server learns that
// a file is a job binary and takes these settings, before it starts anything.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/server/process.h"

namespace tidemill::server {

struct Setting {
  std::string key;
  std::string value;   // secrets are ***
  std::string source;  // "features.yaml:12", "command line", "default"
};

// Lines "key: value  # source"; others are left out.
[[nodiscard]] std::vector<Setting> parse_settings(std::string_view printed);

// What whoever runs a binary by hand has to know of its settings.
struct JobSettings {
  std::string name;  // of a replay JOB.NAME
  std::string checkpoint_dir;
  std::string log_format = "text";
};
// Asks `command`, a binary with its arguments, in the current directory. Throws Error(kConfig) with
// the binary's own words.
[[nodiscard]] JobSettings printed_settings(const std::filesystem::path& program,
                                           std::vector<std::string> command, Variables variables);

struct CheckedConfig {
  std::string printed;
  std::filesystem::path checkpoint_folder;
};

struct ConfigQuestion {
  std::filesystem::path program;  // tidemill itself
  std::filesystem::path binary;
  std::filesystem::path folder;       // where the job works: relative paths begin there
  std::filesystem::path config_file;  // there already
  std::string user;
  std::vector<std::string> args;
  std::string job;     // what the job is to be called
  std::string replay;  // --as; empty: none
};

// Throws Error(kRefused) with the binary's own words, or if the settings name another job.
[[nodiscard]] CheckedConfig check_config(const ConfigQuestion& question);

// What a binary prints with --check-upgrade: a JSON object. Nothing if it is of a version that
// cannot be asked. Throws Error(kRefused) with its words if it says nothing of the kind, or takes
// longer than it may. `checkpoint`: an id, or latest.
[[nodiscard]] std::optional<std::string> check_upgrade(const ConfigQuestion& question,
                                                       const std::string& checkpoint);

}  // namespace tidemill::server
