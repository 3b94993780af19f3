// The reference backend: an ordered map in memory. A snapshot is one checksummed file with
// everything in it.
#pragma once

#include <map>
#include <shared_mutex>
#include <string>
#include <vector>

#include "state/backend.h"

namespace tidemill {

// Thread-safe.
class MemoryBackend final : public Backend {
 public:
  // As Backend: 0 lets the tables keep everything, which is what an in-memory job wants.
  explicit MemoryBackend(std::size_t table_memory = 0) : Backend(table_memory) {}

  [[nodiscard]] bool get(ByteView key, Bytes& value) const override;
  void multi_get(std::span<const ByteView> keys, const Found& found) const override;
  void scan(const KeyRange& range, const Visitor& visitor) const override;
  void spill(const SortedRun& run) override;
  void stage(CheckpointId id, SortedRun run) override;
  std::vector<StoredFile> snapshot(CheckpointId id, const std::filesystem::path& folder) override;
  void restore(const std::filesystem::path& folder, const std::vector<StoredFile>& files) override;

 private:
  void apply_locked(const SortedRun& run);

  mutable std::shared_mutex mutex_;
  std::map<Bytes, Bytes, std::less<>> rows_;
  std::multimap<CheckpointId, SortedRun> staged_;
};

}  // namespace tidemill
