// One producer task, one consumer task, a queue of messages. Thread-safe: the only shared mutable
// object on the data path.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <mutex>
#include <vector>

#include "engine/data/message.h"
#include "engine/runtime/wakeup.h"

namespace tidemill {

class Channel {
 public:
  // Soft bound: a producer that finds the channel full is not stepped; what it makes in one step
  // may overshoot.
  explicit Channel(std::size_t max_batches = 16) : max_batches_(max_batches) {}

  // The workers to wake when there is something to read, and when there is room again. Set before
  // the first message.
  void set_consumer(Wakeup* wakeup) { consumer_ = wakeup; }
  void set_producer(Wakeup* wakeup) { producer_ = wakeup; }

  // Producer.
  void push(Message message);
  [[nodiscard]] bool is_full() const {
    return queued_.load(std::memory_order_acquire) >= max_batches_;
  }

  // Consumer: moves everything queued behind `out`'s content; false if nothing was there.
  bool take_all(std::deque<Message>& out);
  // Consumer: `n` batches that were taken have been processed and no longer count against the
  // bound.
  void release(std::size_t n);
  [[nodiscard]] bool is_empty() const { return size_.load(std::memory_order_acquire) == 0; }

 private:
  const std::size_t max_batches_;
  std::mutex mutex_;
  std::deque<Message> queue_;
  std::atomic<std::size_t> size_{0};    // messages in queue_
  std::atomic<std::size_t> queued_{0};  // batches not yet processed
  Wakeup* consumer_ = nullptr;
  Wakeup* producer_ = nullptr;
};

}  // namespace tidemill
