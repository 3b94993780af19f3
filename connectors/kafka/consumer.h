// Reads partitions from known offsets and knows where it stands in each: librdkafka's own positions
// are never used, because batch reads lose count of them (docs/exactly-once.md 1.6, 3.2).
//
// One librdkafka handle, one queue per partition: not polling a partition is all the back-pressure
// there is. Partitions are started and stopped one by one with the simple consumer API, so no group
// takes part. One thread; the records it brings may be released on any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "connectors/kafka/settings.h"
#include "engine/base/metrics.h"
#include "engine/data/raw_record.h"
#include "engine/operator/source.h"

namespace tidemill::kafka {

constexpr std::int64_t kNoStop = std::numeric_limits<std::int64_t>::max();

class Consumer {
 public:
  // What is known of one partition.
  struct Position {
    TopicPartition partition;
    std::int64_t next = 0;          // the offset to read next; only ever grows
    std::int64_t stop = kNoStop;    // the first offset not to be read
    std::int64_t hold = kNoHold;    // … and the first not to be read for now
    bool is_at_end = false;         // everything that exists has been read
    bool is_reachable = true;       // its leader is connected, as of some seconds ago
    std::int64_t last_stable = -1;  // ends of the log as of some seconds ago, -1 unknown
    std::int64_t high_watermark = -1;
    std::int64_t last_timestamp_ms = 0;  // of the last record read

    [[nodiscard]] bool is_finished() const { return next >= stop; }
  };

  // `num_partitions`: how many will be added, for the memory they may use.
  Consumer(const SourceSettings& settings, std::size_t num_partitions, MetricRegistry& metrics);
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  // Starts reading one more partition; its index is the number of those before it.
  void add(const TopicPartition& partition, std::int64_t start, std::int64_t stop);

  // Appends up to `max_records` records of partition `index` to `out`, with `index` as their split.
  // Never blocks, unless to say what went wrong. Throws Error: kRefused when records or the
  // partition are gone, kBadData when not authorised or on a gap where none may be.
  std::size_t poll(std::size_t index, std::size_t max_records, SourceBatch<RawRecord>& out);

  // Records from `offset` on are kept back until it is set higher.
  void hold(std::size_t index, std::int64_t offset) { positions_[index].hold = offset; }

  // Serves librdkafka's callbacks and brings the ends of the logs up to date. Now and then.
  void serve();

  [[nodiscard]] const std::vector<Position>& positions() const { return positions_; }

 private:
  class Client;
  struct Feed;

  void take_event(std::size_t index, const void* message);
  [[noreturn]] void refuse_range(std::size_t index);
  void check_exists(std::size_t index);
  void finish(std::size_t index);

  const SourceSettings settings_;
  Counter& num_stale_;
  Counter& num_gaps_;
  // Shared with the records that are still in use: their memory belongs to the handle.
  const std::shared_ptr<Client> client_;
  std::vector<Position> positions_;
  std::vector<std::unique_ptr<Feed>> feeds_;
};

}  // namespace tidemill::kafka
