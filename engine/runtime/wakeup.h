// Parks a worker thread until there may be work. Waking a running worker costs one relaxed load.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace tidemill {

// Thread-safe: one thread parks, any thread notifies.
class Wakeup {
 public:
  void notify() {
    if (!parked_.load(std::memory_order_seq_cst)) {
      signalled_.store(true, std::memory_order_seq_cst);
      if (!parked_.load(std::memory_order_seq_cst)) return;
    }
    const std::lock_guard lock(mutex_);
    signalled_.store(true, std::memory_order_seq_cst);
    condition_.notify_one();
  }

  // Returns when notified (also by a notify since the last park) or after `at_most`.
  void park(std::chrono::microseconds at_most) {
    std::unique_lock lock(mutex_);
    parked_.store(true, std::memory_order_seq_cst);
    condition_.wait_for(lock, at_most, [&] { return signalled_.load(std::memory_order_seq_cst); });
    parked_.store(false, std::memory_order_seq_cst);
    signalled_.store(false, std::memory_order_seq_cst);
  }

 private:
  std::atomic<bool> parked_{false};
  std::atomic<bool> signalled_{false};
  std::mutex mutex_;
  std::condition_variable condition_;
};

}  // namespace tidemill
