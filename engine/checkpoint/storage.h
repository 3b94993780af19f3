// Where a job's checkpoints live: FOLDER/<seq>-<uuid>/{manifest, state/…}. A checkpoint exists from
// the moment its folder is renamed from its temporary name; what has a temporary name never
// counted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint/manifest.h"

namespace tidemill {

// How the refusal to own a folder begins that another process owns.
inline constexpr const char* kFolderIsOwned = "another process runs this job";

struct CheckpointName {
  CheckpointId seq = 0;
  std::string id;  // "<seq>-<uuid>"
  bool is_savepoint = false;

  // By its id, or by its number alone.
  [[nodiscard]] bool is_called(const std::string& name) const {
    return id == name || std::to_string(seq) == name;
  }
};

// From now on it is an ordinary checkpoint, which goes with the next ones: a single unlink, so that
// it is a savepoint or none, whatever happens. Any process, any thread. Throws Error(kRefused) if
// `id` (or its number alone) is no savepoint in `folder`, Error(kIo).
void delete_savepoint(const std::filesystem::path& folder, const std::string& id);

// One owner at a time: the constructor takes the folder's lock and holds it. One thread.
class CheckpointStorage {
 public:
  enum class Access { kOwn, kReadOnly };

  // Creates `folder`. `is_durable` false leaves out fsync (simulations only). Throws
  // Error(kRefused) if another process owns it.
  CheckpointStorage(std::filesystem::path folder, Access access, bool is_durable = true);
  ~CheckpointStorage();
  CheckpointStorage(const CheckpointStorage&) = delete;
  CheckpointStorage& operator=(const CheckpointStorage&) = delete;

  // Complete checkpoints, oldest first.
  [[nodiscard]] std::vector<CheckpointName> list() const;
  // A new unique id with this number.
  [[nodiscard]] static std::string new_id(CheckpointId seq);

  // The folder for the state files of a checkpoint in the making; removes a left-over of the same
  // name.
  std::filesystem::path begin(const std::string& id);
  // Writes the manifest, makes everything durable, and renames: from here on the checkpoint exists.
  // Returns the manifest's hash.
  // A savepoint is one from that moment on, and stays until delete_savepoint.
  std::uint64_t finish(const Manifest& manifest, bool is_savepoint = false);
  void abandon(const std::string& id);

  struct Loaded {
    Manifest manifest;
    std::uint64_t hash = 0;
  };
  // Throws Error(kCorrupt) if damaged, Error(kRefused) if there is none of this id.
  [[nodiscard]] Loaded load(const std::string& id) const;
  [[nodiscard]] std::filesystem::path state_folder(const std::string& id) const;

  // The manifest goes first, so that what is left half-removed is not a checkpoint.
  void remove(const std::string& id);
  void remove_unfinished();

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  // One line into FOLDER/audit.log: who chose to lose or repeat what, and when.
  void audit(const std::string& line);

 private:
  const std::filesystem::path folder_;
  const bool is_durable_;
  int lock_ = -1;
};

}  // namespace tidemill
