// Sources. A SourceReader brings records of one or more splits and knows where it stands; event
// time, watermarks, lateness, idleness and drift alignment are added around it by the runtime
// (engine/runtime/source_stage.h), so a connector never thinks about them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/time.h"
#include "engine/operator/context.h"
#include "engine/operator/snapshot.h"

namespace tidemill {

// Where one record came from. `split` indexes SourceReader::splits().
struct Origin {
  std::uint32_t split = 0;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  // The record's own timestamp where the medium has one (Kafka); kMin: none.
  EventTime timestamp = EventTime::min();
};

// What one poll brought: parallel arrays. Views inside the values stay valid until `clear`.
template <class T>
struct SourceBatch {
  std::vector<T> values;
  std::vector<Origin> origins;
  // Whatever owns the bytes that the values view.
  std::vector<std::shared_ptr<const void>> keep_alive;

  void append(T value, const Origin& origin) {
    values.push_back(std::move(value));
    origins.push_back(origin);
  }
  [[nodiscard]] std::size_t size() const { return values.size(); }
  void clear() {
    values.clear();
    origins.clear();
    keep_alive.clear();
  }
};

enum class SplitState : std::uint8_t {
  kReading,   // more may be waiting
  kAtEnd,     // everything that exists now has been read
  kFinished,  // the bounded end is reached: no record will come
};

constexpr std::int64_t kNoHold = std::numeric_limits<std::int64_t>::max();

struct SplitStatus {
  std::string name;    // stable over restarts: "user-events:3"
  std::string source;  // topic or directory, for people and for rejected records
  std::int32_t partition = 0;
  std::int64_t next_offset = 0;  // the position a checkpoint stores
  SplitState state = SplitState::kReading;
  bool is_paused = false;  // set by the runtime (drift alignment): do not poll it
  bool is_held = false;    // set by the reader: it cannot be polled just now; no idle time passes
  // Set by the runtime: the first record not to be read for now, as if it were not there yet. The
  // split is not finished by that. When all before it is read, next_offset is this.
  std::int64_t hold = kNoHold;
  std::optional<EventTime>
      announced;  // set by the reader: a watermark that came with the data, behind what was polled
  std::optional<bool> announced_idle;  // set by the reader: somebody said that nothing (true) or
                                       // something (false) is expected
  std::int64_t lag = -1;               // records behind the end; -1 unknown
};

// One subtask's reader. Built with its splits: split i of all belongs to subtask i mod parallelism;
// a restored position in the context wins over configured start positions. Lives on one thread.
template <class T>
class SourceReader {
 public:
  virtual ~SourceReader() = default;

  // Appends at most about `max_records` records and returns at once when nothing is there. Sets
  // next_offset and state of the splits. Throws Error on what a retry cannot mend here.
  virtual void poll(SourceBatch<T>& out, std::size_t max_records) = 0;

  // This subtask's splits. May grow between polls (discovery), never shrinks or reorders.
  [[nodiscard]] virtual std::vector<SplitStatus>& splits() = 0;
};

// Builds one subtask's reader. `positions` are all restored positions of the source (empty at a
// first start); the factory picks those of its own splits.
template <class T>
using ReaderFactory = std::function<std::unique_ptr<SourceReader<T>>(
    OperatorContext&, const std::vector<SplitPosition>& positions)>;

}  // namespace tidemill
