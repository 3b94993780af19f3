// How the coordinator makes keyed state durable without knowing what it is. Implemented by the
// state backends (state/).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/data/message.h"

namespace tidemill {

struct StoredFile {
  std::string name;  // relative to the checkpoint's folder
  std::uint64_t size = 0;
  std::uint64_t checksum = 0;  // XXH3-64 of the content
};

// Thread-safe where said.
class SnapshotStore {
 public:
  virtual ~SnapshotStore() = default;

  // Every subtask has drained its frozen state of checkpoint `id` into this store. Makes it part of
  // the store and puts a complete, self-contained copy (hard links where possible, fsynced) into
  // `folder`, which exists. Coordinator's thread; tasks go on meanwhile. Returns the files with
  // checksums; only files not in an earlier checkpoint are read to compute them.
  virtual std::vector<StoredFile> snapshot(CheckpointId id,
                                           const std::filesystem::path& folder) = 0;

  // Called once before any task is built: start from this checkpoint's folder (empty path: from
  // nothing). Never modifies the folder. Throws Error(kCorrupt) naming the file if something is
  // missing or damaged.
  virtual void restore(const std::filesystem::path& folder,
                       const std::vector<StoredFile>& files) = 0;
};

}  // namespace tidemill
