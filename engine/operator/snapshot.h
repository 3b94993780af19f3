// What a stage puts into a checkpoint. Freezing is constant time at the barrier; the frozen content
// is copied out between later batches.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/time.h"
#include "engine/data/message.h"

namespace tidemill {

// A small named piece of operator state, stored in the manifest itself.
struct StatePart {
  std::string name;
  Bytes bytes;
  Bytes type{};  // what the bytes are, for whoever can tell (state/stored_type.h); may be empty
};

// Where a source stands in one of its splits (a Kafka partition, a partition of a file log).
struct SplitPosition {
  std::string split;        // stable name: "user-events:3"
  std::int64_t offset = 0;  // the next record to read
  EventTime watermark = EventTime::min();
  EventTime max_time = EventTime::min();  // the greatest event time seen
  bool is_finished = false;
  // The last record read, to recognise a re-created or truncated log: -1 if none.
  std::int64_t tail_offset = -1;
  std::int64_t tail_timestamp = 0;
  std::uint64_t tail_hash = 0;
  Bytes generator;  // the watermark generator's own state

  friend bool operator==(const SplitPosition&, const SplitPosition&) = default;
};

// What one stage contributed to one checkpoint.
struct StageSnapshot {
  std::vector<StatePart> parts;
  std::vector<SplitPosition> positions;  // sources only
  Bytes prepared;                        // sinks: what `publish` needs after the commit
};

// A question about the value of one key, answered by the subtask that has the key.
struct StateQuery {
  struct Row {
    std::optional<EventTime> window;  // the end of the slice or window, of states by window
    Bytes value;
  };
  std::string operator_name;
  std::string state;
  Bytes key;  // as stored
  std::uint64_t hash = 0;

  // The answer.
  bool is_known = false;  // the operator has this state
  std::vector<Row> rows;
  int subtask = 0;
  std::uint32_t key_group = 0;
  EventTime watermark = EventTime::min();
  std::string error;
};

class Snapshotable {
 public:
  virtual ~Snapshotable() = default;
  // Constant time: from now on changes belong to the next checkpoint.
  virtual void freeze(CheckpointId id) = 0;
  // Copies a bounded piece (about `max_entries`) of what was frozen; true when nothing is left.
  // Never blocks.
  virtual bool drain(StageSnapshot& out, std::size_t max_entries) = 0;
  // The store has linked the files of checkpoint `id`: later changes may reach it again. Any
  // thread.
  virtual void on_linked(CheckpointId) {}
  // Between messages: adds the value to the query, if this is the state that is meant. Changes
  // nothing.
  virtual void answer(StateQuery&) {}
  // Between messages, about once a millisecond, also while nothing comes: make room if the process
  // holds too much.
  virtual void give_back_memory() {}
};

}  // namespace tidemill
