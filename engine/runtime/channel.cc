#include "engine/runtime/channel.h"

#include <iterator>
#include <utility>

namespace tidemill {

void Channel::push(Message message) {
  if (message.batch) queued_.fetch_add(1, std::memory_order_acq_rel);
  bool was_empty = false;
  {
    const std::lock_guard lock(mutex_);
    was_empty = queue_.empty();
    queue_.push_back(std::move(message));
    size_.store(queue_.size(), std::memory_order_release);
  }
  if (was_empty && consumer_ != nullptr) consumer_->notify();
}

bool Channel::take_all(std::deque<Message>& out) {
  if (is_empty()) return false;
  const std::lock_guard lock(mutex_);
  if (out.empty()) {
    out.swap(queue_);
  } else {
    out.insert(out.end(), std::make_move_iterator(queue_.begin()),
               std::make_move_iterator(queue_.end()));
    queue_.clear();
  }
  size_.store(0, std::memory_order_release);
  return true;
}

void Channel::release(std::size_t n) {
  const std::size_t before = queued_.fetch_sub(n, std::memory_order_acq_rel);
  if (before >= max_batches_ && before - n < max_batches_ && producer_ != nullptr)
    producer_->notify();
}

}  // namespace tidemill
