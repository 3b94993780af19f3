#include "connectors/redis/row_queue.h"

#include <unordered_map>
#include <utility>

namespace tidemill {

std::uint64_t RedisRowQueue::push(RedisRow row, std::string_view key_prefix, std::string_view key,
                                  std::string_view value) {
  row.number = ++last_number_;
  row.at = bytes_.size();
  row.key_size = static_cast<std::uint32_t>(key_prefix.size() + key.size());
  row.value_size = static_cast<std::uint32_t>(value.size());
  bytes_.append(key_prefix).append(key).append(value);
  rows_.push_back(row);
  return row.number;
}

void RedisRowQueue::mark_answered() {
  const RedisRow& row = rows_[first_];
  first_byte_ = row.at + row.key_size + row.value_size;
  ++first_;
  if (first_ == rows_.size() || first_ >= 4096) drop_answered();
}

// Moves what is left to the front. Rows are moved once per at least as many answered ones, so each
// costs constant time.
void RedisRowQueue::drop_answered() {
  if (first_ < rows_.size() - first_) return;
  bytes_.erase(0, first_byte_);
  rows_.erase(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(first_));
  for (RedisRow& row : rows_) row.at -= first_byte_;
  next_ -= first_;
  first_ = 0;
  first_byte_ = 0;
}

void RedisRowQueue::resend() {
  if (sent() == 0) return;
  RedisRowQueue rebuilt;
  const auto copy = [&](const RedisRow& row) {
    rebuilt.push(row, {}, key(row), value(row));
    rebuilt.rows_.back().number = row.number;
  };

  std::unordered_map<std::string_view, std::size_t> last_of_key;
  std::vector<RedisRow> kept;
  for (std::size_t i = first_; i < next_; ++i) {
    const auto [found, is_new] = last_of_key.try_emplace(key(rows_[i]), kept.size());
    if (is_new) {
      kept.push_back(rows_[i]);
    } else {
      const std::uint64_t number = kept[found->second].number;
      kept[found->second] = rows_[i];
      kept[found->second].number = number;
    }
    kept[found->second].is_resent = true;
  }
  for (const RedisRow& row : kept) copy(row);
  for (std::size_t i = next_; i < rows_.size(); ++i) copy(rows_[i]);
  rebuilt.last_number_ = last_number_;
  *this = std::move(rebuilt);
}

}  // namespace tidemill
