// --list-checkpoints and --inspect: read-only looks into a job's checkpoint folder, safe while the
// job runs. Those with an exit code print to stdout.
#pragma once

#include <filesystem>
#include <string>

namespace tidemill {

int list_checkpoints(const std::filesystem::path& folder);
// `id`: "<seq>-<uuid>", a bare number, or "latest".
int inspect_checkpoint(const std::filesystem::path& folder, const std::string& id);

// The checkpoints a job can be restored from, newest first: an array of JSON, as `restore_points`
// of a job's API (docs/decisions/0004_operate.md). Damaged ones are left out.
std::string restore_points_json(const std::filesystem::path& folder);

}  // namespace tidemill
