// How the coordinator makes keyed state durable without knowing what it is. Implemented by the
// state backends (state/).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/data/message.h"

namespace tidemill {

struct StoredFile {
  std::string name;  // relative to the checkpoint's folder
  std::uint64_t size = 0;
  std::uint64_t checksum = 0;  // XXH3-64 of the content
};

// A keyed state is known by its operator's name and its own.
struct StateName {
  std::string op;
  std::string state;
  friend auto operator<=>(const StateName&, const StateName&) = default;
};

// What is known of a state without the program. The types are state/stored_type.h's to read, empty
// in checkpoints from before they were stored.
struct StateDescription {
  StateName name;
  std::string kind;  // "value", "list", "table", "windowed", "timers", "map"
  Bytes key_type;
  Bytes value_type;
  bool may_have_parts = false;  // of values (state/parts.h)
};

// What a store holds in memory besides the tables of state, by what it is for.
struct StoreMemory {
  const char* use;
  std::uint64_t bytes = 0;
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

  // The states of the checkpoint it was restored from, and those made since. Thread-safe.
  [[nodiscard]] virtual std::vector<StateName> states() const = 0;
  // The same with what they are made of. Thread-safe.
  [[nodiscard]] virtual std::vector<StateDescription> describe() const = 0;
  // After `restore`; thread-safe.
  [[nodiscard]] virtual std::vector<StoreMemory> memory() const { return {}; }
  // Those that no operator of this attempt has asked for. Thread-safe.
  [[nodiscard]] virtual std::vector<StateName> unused_states() const = 0;
  // Before any task is built. Requires: there is no state `to`.
  virtual void rename_state(const StateName& from, const StateName& to) = 0;
  // Forgets an unused state and its rows. Before the first record.
  virtual void drop_state(const StateName& name) = 0;
};

}  // namespace tidemill
