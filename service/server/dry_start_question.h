// Asks a job's binary what a start of it would do (--dry-start), which nobody else can know: the
// decision is the binary's own.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "service/server/process.h"

namespace tidemill::server {

struct DryStartQuestion {
  std::filesystem::path program;  // tidemill itself
  std::filesystem::path folder;   // where the job works; empty: here
  std::string user;
  std::vector<std::string> command;  // the binary's path first
  Variables variables = Variables::kWithoutSettings;
};

// A JSON object of the shape in docs/recovery.md, also if the binary ended before it had one.
// Throws Error(kIo) if there is no answer within 80 s.
[[nodiscard]] std::string ask_dry_start(DryStartQuestion question);

}  // namespace tidemill::server
