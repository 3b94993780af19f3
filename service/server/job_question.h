// Asks a job's binary what nobody else can know: what a start of it would do (--dry-start), since
// the decision is the binary's own, and which of its transactions are open (--transactions), since
// it has the settings and secrets of its cluster.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "service/server/process.h"

namespace tidemill::server {

struct JobBinaryQuestion {
  std::filesystem::path program;  // tidemill itself
  std::filesystem::path folder;   // where the job works; empty: here
  std::string user;
  std::vector<std::string> command;  // the binary's path first
  Variables variables = Variables::kWithoutSettings;
};

// A JSON object of the shape in docs/recovery.md, also if the binary ended before it had one.
// Throws Error(kIo) if there is no answer within 80 s.
[[nodiscard]] std::string ask_dry_start(JobBinaryQuestion question);

// `what`: "status", "abort", "force-abort". A JSON object of what is held afterwards
// (docs/recovery.md). Throws Error with the binary's words, of the code its exit stands for.
[[nodiscard]] std::string ask_transactions(JobBinaryQuestion question, const std::string& what);

}  // namespace tidemill::server
