// The files of a checkpoint: verified so that damage is found before anybody uses them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/files.h"
#include "engine/checkpoint/snapshot_store.h"

namespace tidemill {

// Size and checksum (XXH3-64) of a file, read in pieces.
[[nodiscard]] StoredFile stored_file(const std::filesystem::path& folder, const std::string& name);

// Throws Error(kCorrupt) if the file is missing or has another size.
void verify_size(const std::filesystem::path& folder, const StoredFile& expected);

// Throws Error(kCorrupt) naming the first file that is missing, has another size, or another
// checksum. Reads all of them, on up to `threads` threads.
void verify_files(const std::filesystem::path& folder, const std::vector<StoredFile>& files,
                  int threads = 1);

}  // namespace tidemill
