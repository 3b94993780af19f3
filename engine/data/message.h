// A channel carries messages: a batch, or a signal that keeps its place among the batches.
#pragma once

#include <cstdint>
#include <utility>

#include "engine/base/time.h"
#include "engine/data/batch.h"

namespace tidemill {

// Counts up over the life of a lineage; 0 is the checkpoint taken before the first record.
using CheckpointId = std::uint64_t;

enum class SignalKind : std::uint8_t {
  kWatermark,  // every later record has time >= `time`
  kIdle,       // nothing is expected for now: leave this input out of the minimum
  kActive,     // it counts again
  kBarrier,    // everything before belongs to checkpoint `checkpoint`
  kEnd,        // no record follows; barriers still may
};

struct Signal {
  SignalKind kind = SignalKind::kWatermark;
  EventTime time{};
  CheckpointId checkpoint = 0;

  static Signal watermark(EventTime t) { return {SignalKind::kWatermark, t, 0}; }
  static Signal idle() { return {SignalKind::kIdle, {}, 0}; }
  static Signal active() { return {SignalKind::kActive, {}, 0}; }
  static Signal barrier(CheckpointId id) { return {SignalKind::kBarrier, {}, id}; }
  static Signal end() { return {SignalKind::kEnd, {}, 0}; }
};

struct Message {
  AnyBatch batch;  // null: this is a signal
  Signal signal;

  Message() = default;
  explicit Message(AnyBatch b) : batch(std::move(b)) {}
  explicit Message(const Signal& s) : signal(s) {}
};

}  // namespace tidemill
