#include "state/block_pool.h"

#include <new>
#include <sys/mman.h>

#include "engine/base/error.h"

namespace tidemill {

BlockPool::~BlockPool() {
  for (const Region& r : regions_) ::munmap(r.at, r.size);
}

char* BlockPool::map_region(std::size_t size) {
  // Twice the alignment is mapped, and what lies outside the aligned part given back.
  const std::size_t mapped = size + kRegion;
  void* at = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  char* const begin = static_cast<char*>(at);
  const std::size_t skip = (kRegion - reinterpret_cast<std::uintptr_t>(begin) % kRegion) % kRegion;
  if (skip > 0) ::munmap(begin, skip);
  if (mapped - skip > size) ::munmap(begin + skip + size, mapped - skip - size);
  ::madvise(begin + skip, size, MADV_HUGEPAGE);
  regions_.push_back({begin + skip, size});
  return begin + skip;
}

void* BlockPool::allocate(std::size_t size) {
  TM_CHECK(size > 0 && size % kUnit == 0);
  const std::lock_guard lock(mutex_);
  auto& recycled = free_[size];
  if (!recycled.empty()) {
    void* block = recycled.back();
    recycled.pop_back();
    return block;
  }
  if (size > kRegion / 4) return map_region(size);
  if (left_ < size) {
    // The rest of the last region serves small requests: one block of its size.
    if (left_ > 0) free_[left_].push_back(next_);
    next_ = map_region(kRegion);
    left_ = kRegion;
  }
  void* block = next_;
  next_ += size;
  left_ -= size;
  return block;
}

void BlockPool::release(void* block, std::size_t size) {
  const std::lock_guard lock(mutex_);
  free_[size].push_back(block);
}

std::size_t BlockPool::reserved_bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t total = 0;
  for (const Region& r : regions_) total += r.size;
  return total;
}

}  // namespace tidemill
