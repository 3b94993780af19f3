// The rows a writer owes to a server, in order: first those that were sent and wait for their
// answer, then those not yet sent. One buffer holds all bytes, so a row costs no allocation in
// steady state.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"

namespace tidemill {

struct RedisRow {
  std::uint64_t number = 0;  // counts rows from 1; grows along the queue
  std::size_t at = 0;        // of key and value in the buffer of the queue
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;
  std::uint32_t ttl_seconds = 0;  // 0: none
  bool is_delete = false;
  bool is_resent = false;   // may have been carried out already, and later rows of its key too
  bool is_guarded = false;  // how it was sent
  EventTime order{};
  std::uint64_t key_hash = 0;
  std::chrono::nanoseconds queued_at{0};
};

class RedisRowQueue {
 public:
  // Adds a row; its number, place and sizes are filled in. Returns the number.
  // Requires: key and value are shorter than 4 GiB.
  std::uint64_t push(RedisRow row, std::string_view key_prefix, std::string_view key,
                     std::string_view value);

  [[nodiscard]] std::size_t size() const { return rows_.size() - first_; }
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] std::size_t sent() const { return next_ - first_; }
  [[nodiscard]] std::size_t unsent() const { return rows_.size() - next_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_.size() - first_byte_; }
  [[nodiscard]] std::uint64_t last_number() const { return last_number_; }
  // Every row up to this number has been answered.
  [[nodiscard]] std::uint64_t answered_up_to() const {
    return empty() ? last_number_ : rows_[first_].number - 1;
  }

  // Requires: unsent() > 0.
  RedisRow& next_to_send() { return rows_[next_]; }
  void mark_sent() { ++next_; }
  // Requires: sent() > 0.
  [[nodiscard]] const RedisRow& oldest_sent() const { return rows_[first_]; }
  void mark_answered();

  [[nodiscard]] std::string_view key(const RedisRow& row) const {
    return std::string_view(bytes_).substr(row.at, row.key_size);
  }
  [[nodiscard]] std::string_view value(const RedisRow& row) const {
    return std::string_view(bytes_).substr(row.at + row.key_size, row.value_size);
  }

  // The answers to what was sent will never come: it must be sent again. Of the rows of one key
  // only the last is kept, so that nobody sees an earlier one once more; it takes the number of the
  // first, so that `answered_up_to` never promises too much.
  void resend();

 private:
  void drop_answered();

  std::vector<RedisRow> rows_;
  std::string bytes_;
  std::size_t first_ = 0;       // rows_ before it are answered
  std::size_t next_ = 0;        // rows_ before it are sent
  std::size_t first_byte_ = 0;  // bytes_ before it belong to answered rows
  std::uint64_t last_number_ = 0;
};

}  // namespace tidemill
