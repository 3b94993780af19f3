// Reads the database of a checkpoint where it lies. See open_for_reading (backend.h).
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "state/backend.h"

namespace tidemill {

// All that would change something throws Error(kInternal).
class RocksDbReader final : public Backend {
 public:
  explicit RocksDbReader(const std::filesystem::path& work_folder);
  ~RocksDbReader() override;

  [[nodiscard]] bool get(ByteView key, Bytes& value) const override;
  void multi_get(std::span<const ByteView> keys, const Found& found) const override;
  void scan(const KeyRange& range, const Visitor& visitor) const override;
  void restore(const std::filesystem::path& folder, const std::vector<StoredFile>& files) override;

  void spill(const SortedRun& run) override;
  void stage(CheckpointId id, SortedRun run) override;
  std::vector<StoredFile> snapshot(CheckpointId id, const std::filesystem::path& folder) override;

 private:
  struct Open;
  std::unique_ptr<Open> open_;
};

}  // namespace tidemill
