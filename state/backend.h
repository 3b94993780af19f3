// The store under all keyed state of one process and attempt: an ordered map from bytes to bytes
// that can be snapshotted. The hot copy lives in the state objects (keyed_store.h); they read it on
// a miss, spill into it, and stage what a checkpoint froze.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/checkpoint/snapshot_store.h"
#include "state/key_encoding.h"
#include "state/memory_budget.h"
#include "state/parts.h"
#include "state/sorted_run.h"
#include "state/stored_type.h"
#include "state/type_change.h"

namespace tidemill {

// What can be read of a store.
class StoredRows {
 public:
  virtual ~StoredRows() = default;

  // Returns false to stop the scan.
  using Visitor = std::function<bool(ByteView key, ByteView value)>;
  using Found = std::function<void(std::size_t index, ByteView value)>;

  [[nodiscard]] virtual bool get(ByteView key, Bytes& value) const = 0;
  // Calls `found` for each key that exists, in any order. Requires: keys in ascending order.
  virtual void multi_get(std::span<const ByteView> keys, const Found& found) const = 0;
  // Visits [range.begin, range.end) in key order. What the visitor itself changes it may see or
  // not.
  virtual void scan(const KeyRange& range, const Visitor& visitor) const = 0;
};

// Thread-safe. One per process and attempt; outlives every state object. Reads see what was
// spilled, and what was staged once its checkpoint is linked, not before: who stages keeps the
// entries in memory until then.
class Backend : public SnapshotStore, public StoredRows {
 public:
  // `table_memory`: what the tables over this backend may hold together; 0: no limit.
  explicit Backend(std::size_t table_memory) : budget_(table_memory) {}

  // The number of a state, the same for all subtasks and after every restore; made at the first
  // call. If the checkpoint has the state with another type that may become this one
  // (type_change.h), the first call converts its rows. Throws Error(kConfig) if it may not, or if
  // the state exists with another `kind` (another class of state under the same name), or may have
  // values in parts which the program cannot merge.
  StateId state_id(const StateName& name, std::string_view kind, const StateTypes& types);
  [[nodiscard]] MemoryBudget& budget() { return budget_; }

  // What `state_id` found to have another type than in the checkpoint, and made the present one.
  struct Adopted {
    StateName name;
    StateTypes former;
    StateTypes present;
    bool converts = false;  // the rows; else the program reads them as they are
  };
  [[nodiscard]] std::vector<Adopted> adopted() const;
  // Instead of `restore`: these states, without a row, so that `state_id` says of each what it
  // would say after a restore of the checkpoint that has them.
  void rehearse(const std::vector<StateDescription>& states);

  [[nodiscard]] std::vector<StateName> states() const override;
  [[nodiscard]] std::vector<StateDescription> describe() const override;
  // Nothing: there is no such state.
  [[nodiscard]] std::optional<StateId> find_state(const StateName& name) const;
  [[nodiscard]] bool has_state(const StateName& name) const;
  [[nodiscard]] std::vector<StateName> unused_states() const override;
  void rename_state(const StateName& from, const StateName& to) override;
  void drop_state(const StateName& name) override;

  // The store as it was at some instant, with the checkpoints whose staged parts it shows: whoever
  // has parts in memory must not count twice what has just arrived in the store.
  class View : public StoredRows {
   public:
    explicit View(CheckpointId end) : end_(end) {}
    [[nodiscard]] bool has(CheckpointId id) const { return id < end_; }

   private:
    const CheckpointId end_;
  };
  // From now on values of this state may be in parts: the next checkpoint says so.
  void note_parts(StateId state);
  // Says how parts of a state's values become one. False: this store takes no parts.
  [[nodiscard]] virtual bool take_parts(StateId /*state*/, MergeParts /*merge*/) { return false; }
  // The newest one; null before a state has parts. Hold it for one read only: it keeps the store
  // from merging what is newer.
  [[nodiscard]] virtual std::shared_ptr<const View> view() const { return nullptr; }

  // Changes the store at once. Requires: nothing of the caller's is staged and not yet linked
  // (is_linked), or the checkpoint would hold changes from after its barrier.
  virtual void spill(const SortedRun& run) = 0;
  // Hands over part of what the caller froze for checkpoint `id`; becomes visible when
  // `snapshot(id)` (or of a later id) links it. Parts of one checkpoint have no key in common.
  virtual void stage(CheckpointId id, SortedRun run) = 0;
  // False while what is staged waits for the disk: drain later.
  [[nodiscard]] virtual bool has_stage_room() const { return true; }
  // True once snapshot(id), or of a later id, has made its copy: spills may reach the store again,
  // staged entries may be evicted.
  [[nodiscard]] bool is_linked(CheckpointId id) const {
    return linked_.load(std::memory_order_acquire) > id;
  }

 protected:
  // Registry rows live under state id 0. What changed since the last call, to be written with the
  // next snapshot.
  static constexpr StateId kRegistry = 0;
  void load_registry();
  SortedRun take_registry_changes();
  void set_linked(CheckpointId id) { linked_.store(id + 1, std::memory_order_release); }

 private:
  struct Registered {
    StateId id = 0;
    std::string kind;
    Bytes types;  // of key and value; empty: not known, the checkpoint is older than types in it
    Bytes shown;  // the same with their layouts, for tools; empty if they have none
    bool may_have_parts = false;  // not known of checkpoints from before this was stored
    bool is_stored = false;
    bool is_used = false;  // by the running program
  };
  void adopt(const StateName& name, Registered& state, const StateTypes& types);
  std::uint64_t convert_rows(StateId id, const TypeChange& change);

  MemoryBudget budget_;
  mutable std::mutex registry_mutex_;
  std::map<StateName, Registered> registry_;
  std::vector<Adopted> adopted_;
  std::atomic<CheckpointId> linked_{0};  // last linked id + 1
};

struct BackendOptions {
  std::filesystem::path dir;  // where the store works; memory: unused
  // What tables and caches may hold together. The memory backend has nowhere else to put things and
  // takes what it needs, unless `limit_memory_backend` (tests) makes its tables spill into it.
  std::size_t memory = std::size_t{256} << 20;
  bool limit_memory_backend = false;
};

// `kind`: "memory" or "rocksdb". Throws Error(kConfig) for any other.
std::unique_ptr<Backend> make_backend(std::string_view kind, const BackendOptions& options);

// The state of a checkpoint for tools that only read: nothing is written to its folder, not even
// links, and who looks for one key does not wait until all is read. Small files are verified now,
// of the large ones the size; their content as it is read, block by block. What is open stays
// readable when the checkpoint is removed. `work_folder`: for the store's own log, a few kilobytes.
// Throws Error(kCorrupt), Error(kIo), Error(kConfig).
std::unique_ptr<Backend> open_for_reading(std::string_view kind,
                                          const std::filesystem::path& folder,
                                          const std::vector<StoredFile>& files,
                                          const std::filesystem::path& work_folder);

}  // namespace tidemill
