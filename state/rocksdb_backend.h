// The durable backend: one RocksDB per process and attempt (Debian's 7.8.3). No write-ahead log: a
// crash goes back to the last checkpoint, which is a folder of hard links. Everything enters as
// sorted files: spills at once, staged runs with their checkpoint.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "state/backend.h"

namespace tidemill {

// Thread-safe. Works in a folder of its own below options.dir, which it removes at the end; folders
// that killed processes left there are removed at the next start. `memory / 4` goes to the block
// cache.
class RocksDbBackend final : public Backend {
 public:
  explicit RocksDbBackend(const BackendOptions& options);
  ~RocksDbBackend() override;

  [[nodiscard]] bool get(ByteView key, Bytes& value) const override;
  void multi_get(std::span<const ByteView> keys, const Found& found) const override;
  void scan(const KeyRange& range, const Visitor& visitor) const override;
  [[nodiscard]] bool take_parts(StateId state, MergeParts merge) override;
  [[nodiscard]] std::shared_ptr<const View> view() const override;
  void spill(const SortedRun& run) override;
  void stage(CheckpointId id, SortedRun run) override;
  [[nodiscard]] bool has_stage_room() const override;
  // Links everything into folder/db. Throws Error(kIo).
  std::vector<StoredFile> snapshot(CheckpointId id, const std::filesystem::path& folder) override;
  void restore(const std::filesystem::path& folder, const std::vector<StoredFile>& files) override;
  [[nodiscard]] std::vector<StoreMemory> memory() const override;

 private:
  class Store;
  std::unique_ptr<Store> store_;
};

}  // namespace tidemill
