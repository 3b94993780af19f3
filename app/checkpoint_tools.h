// --list-checkpoints and --inspect: read-only looks into a job's checkpoint folder, safe while the
// job runs. Print to stdout, return the exit code.
#pragma once

#include <filesystem>
#include <string>

namespace tidemill {

int list_checkpoints(const std::filesystem::path& folder);
// `id`: "<seq>-<uuid>", a bare number, or "latest".
int inspect_checkpoint(const std::filesystem::path& folder, const std::string& id);

}  // namespace tidemill
