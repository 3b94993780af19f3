// --dry-start: what a start would do, as JSON for whoever wants to get a job going again
// (docs/recovery.md has its shape).
#pragma once

#include <vector>

#include "app/environment.h"

namespace tidemill {

// Prints one JSON object and returns the exit code that the start would have. `findings`: of the
// start-up checks. The deployment's store works in `folder`, which is removed. Throws
// Error(kConfig) for settings that no dry start is made for.
int dry_start(const Environment& env, const SupervisorSettings& settings,
              const Deployment& deployment, const std::filesystem::path& folder,
              const std::vector<Finding>& findings);

}  // namespace tidemill
