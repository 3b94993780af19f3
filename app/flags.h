// The command line of a job binary.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/config.h"

namespace tidemill {

struct Flags {
  std::string config_file;
  std::vector<std::pair<std::string, std::string>>
      settings;  // key, value; their flag is the origin
  bool print_config = false;
  bool validate = false;
  bool dry_start = false;
  std::optional<std::string> transactions;  // status, abort, force-abort
  bool list_checkpoints = false;
  std::optional<std::string> explain;  // text, dot, json
  std::optional<std::string> inspect;
  std::optional<std::string> describe_state;  // json
  std::optional<std::string> check_upgrade;   // ID, latest or a checkpoint's folder
};

// Nothing: help or version was printed, the program is done. Throws Error(kConfig) naming the wrong
// flag and the nearest known one.
std::optional<Flags> parse_flags(int argc, char** argv, const std::string& description);

}  // namespace tidemill
