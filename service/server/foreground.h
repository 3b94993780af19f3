// `tidemill run ./job ARGS…`: one job supervised in the foreground, without a server. Ended runs
// are started again by the server's rules (restart_policy.h).
#pragma once

#include <string>
#include <vector>

#include "service/server/restart_policy.h"

namespace tidemill::server {

struct ForegroundSettings {
  RestartSettings restarts = {};
  std::vector<std::string> command;  // the binary's path first
  // Arguments until the job has made a checkpoint: what would repeat output if it held longer.
  std::vector<std::string> once = {};
};

// Returns when the job has ended and is not started again: its exit code, 1 if it was killed. The
// job's stdout is this process's; its stderr is passed on to ours, because its last error is the
// cause of its end. SIGINT, SIGTERM and SIGHUP are taken from all threads: the first lets the job
// take a checkpoint and stop, the second cancels it, the third kills it. The job dies with this
// process. Throws Error(kConfig) if the binary is none that can be run, or no job.
int run_in_foreground(const ForegroundSettings& settings);

// The verb: parses `words`, runs, reports. Returns the exit code.
int run_command(const std::vector<std::string>& words);

}  // namespace tidemill::server
