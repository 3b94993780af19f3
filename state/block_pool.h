// Memory for tables: blocks out of large regions that the system may back with huge pages, and that
// are recycled, never given back.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

namespace tidemill {

// Thread-safe. Outlives every block.
class BlockPool {
 public:
  static constexpr std::size_t kUnit = 4096;
  static constexpr std::size_t kRegion = std::size_t{2} << 20;

  BlockPool() = default;
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // Returns uninitialised memory, aligned to kUnit. Requires: size is a multiple of kUnit. Throws
  // std::bad_alloc.
  [[nodiscard]] void* allocate(std::size_t size);
  // Requires: `block` came from allocate(size).
  void release(void* block, std::size_t size);

  // All that was ever taken from the system.
  [[nodiscard]] std::size_t reserved_bytes() const;

 private:
  struct Region {
    void* at;
    std::size_t size;
  };
  char* map_region(std::size_t size);

  mutable std::mutex mutex_;
  std::vector<Region> regions_;
  char* next_ = nullptr;  // the unused rest of the last region
  std::size_t left_ = 0;
  std::map<std::size_t, std::vector<void*>> free_;
};

}  // namespace tidemill
