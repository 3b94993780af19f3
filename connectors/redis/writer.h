// Writes rows into Redis keys: pipelined, bounded, in order, and so that nobody ever reads an older
// row after a newer one.
//
// One key holds one row, written whole (SETEX) or deleted. The *guard* keeps rows that a restore
// replays from replacing newer ones: a script on the server reads the time field of the stored JSON
// row and writes only if ours is not older. The script costs the server about three times a plain
// write, so (kFirstTouch) it is used for each key only until it has written once: from then on the
// stored row is ours, and ours come in order. After a lost connection the unanswered rows are sent
// again, of each key the last, guarded.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/unordered/unordered_flat_set.hpp>

#include "connectors/redis/client.h"
#include "connectors/redis/row_queue.h"
#include "engine/base/clock.h"
#include "engine/base/error_budget.h"
#include "engine/base/metrics.h"
#include "engine/base/time.h"

namespace tidemill {

enum class RedisGuard : std::uint8_t { kNone, kFirstTouch, kAlways };

struct RedisWriterSettings {
  RedisServerSettings server = {};
  std::string key_prefix = "";
  RedisGuard guard = RedisGuard::kFirstTouch;
  // The field of the stored row that is compared with `order`: ISO 8601 with milliseconds, or epoch
  // milliseconds. A stored value without it, or that is no JSON object, is overwritten.
  std::string guard_field = "computed_at";
  // Keys remembered as ours, 8 bytes and some each; those beyond stay guarded.
  std::size_t max_own_keys = std::size_t{1} << 20;
  // What may wait, sent or not, before `is_full`.
  std::size_t max_rows = 8192;
  std::size_t max_bytes = std::size_t{4} << 20;
  // So long no row was taken although some wait: the job stops. Zero: it waits for ever.
  Duration give_up_after = 5min;
  ErrorLimits errors = {};
};

// One thread; nothing blocks but `wait`.
class RedisWriter {
 public:
  // Numbers a row; all rows up to it are meant.
  using Mark = std::uint64_t;

  struct Counts {
    std::uint64_t written = 0;  // rows the server took, deletions included
    std::uint64_t stale = 0;    // rows the guard kept out
    std::uint64_t refused = 0;  // rows lost within the error budget
    std::uint64_t resent = 0;
  };

  // `ack_latency_us` (may be null) takes the time from `set` to the answer. It and `clock` outlive
  // the writer. Throws Error(kConfig) for settings that cannot work.
  RedisWriter(RedisWriterSettings settings, std::optional<RedisWriterName> name, const Clock& clock,
              Histogram* ack_latency_us);

  // `order`: the time in the row's guard field. `ttl` is rounded up to seconds; zero: the key stays
  // for ever. Rows of one key must come in the order in which they shall take effect. Throws
  // Error(kBadData) for rows beyond 512 MiB.
  void set(std::string_view key, std::string_view value, Duration ttl, EventTime order);
  void del(std::string_view key, EventTime order);

  // Sends, takes answers, reconnects. Throws Error(kIo) if the server takes no rows for too long or
  // refuses too many, Error(kConfig) if it will never take any, Error(kFenced) if a younger
  // instance writes.
  void poll() { move_on(std::chrono::milliseconds(0)); }
  void wait(std::chrono::milliseconds limit) { move_on(limit); }

  // `set` and `del` go on to work, but the caller should hold back.
  [[nodiscard]] bool is_full() const {
    return queue_.size() >= settings_.max_rows || queue_.bytes() >= settings_.max_bytes;
  }
  [[nodiscard]] Mark mark() const { return queue_.last_number(); }
  // True if the server has taken (or, as stale, not needed) every row up to the mark.
  [[nodiscard]] bool flushed_up_to(Mark mark) const { return queue_.answered_up_to() >= mark; }

  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] std::uint64_t reconnects() const { return client_.reconnects(); }
  [[nodiscard]] bool is_connected() const { return client_.is_ready(); }
  [[nodiscard]] std::size_t waiting() const { return queue_.size(); }

 private:
  void move_on(std::chrono::milliseconds limit);
  void push(std::string_view key, std::string_view value, RedisRow row);
  void take_answers(std::chrono::nanoseconds now);
  // False: the session has ended.
  bool take_answer(const RedisReply& reply, std::chrono::nanoseconds now);
  void refuse(const std::string& error, std::chrono::nanoseconds now);
  void send(std::chrono::nanoseconds now);
  void append_command(RedisRow& row);
  void check_patience(std::chrono::nanoseconds now);

  const RedisWriterSettings settings_;
  const Clock& clock_;
  Histogram* const ack_latency_us_;
  RedisClient client_;
  RedisRowQueue queue_;
  ErrorBudget budget_;
  boost::unordered_flat_set<std::uint64_t> own_keys_;
  std::uint64_t session_ = 0;
  RedisReply reply_;
  std::chrono::nanoseconds answered_at_{0};  // or sent, if nothing was on the way
  std::chrono::nanoseconds progress_at_{0};  // or queued, if nothing was waiting
  Counts counts_;
};

}  // namespace tidemill
