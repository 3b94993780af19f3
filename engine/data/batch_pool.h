// Memory of batches that comes back to who filled them: rows that go to another thread would be
// given back to an allocator there which took them from it here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace tidemill {

template <class T>
struct Record;

template <class T>
struct BatchMemory {
  std::vector<Record<T>> records;
  std::vector<std::uint64_t> hashes;
};

// Thread-safe, locked once a batch. Shared by who fills batches and the batches.
template <class T>
class BatchPool {
 public:
  // Room for `rows` of them.
  BatchMemory<T> take(std::size_t rows) {
    BatchMemory<T> memory;
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        memory = std::move(free_.back());  // the last one to come back: its lines are near
        free_.pop_back();
      }
    }
    memory.records.reserve(rows);
    memory.hashes.reserve(rows);
    return memory;
  }
  void give_back(BatchMemory<T> memory) {
    memory.records.clear();
    memory.hashes.clear();
    const std::lock_guard lock(mutex_);
    if (free_.size() < kMost) free_.push_back(std::move(memory));
  }

 private:
  // Beyond what two channels hold there is more under way than is coming back.
  static constexpr std::size_t kMost = 32;

  std::mutex mutex_;
  std::vector<BatchMemory<T>> free_;
};

}  // namespace tidemill
