// How old what a job has put out is, as it becomes final: per output and checkpoint.
#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "engine/data/emitter.h"
#include "engine/data/message.h"

namespace tidemill {

// Lent to the sinks of an attempt; thread-safe. Touched once per checkpoint and output.
class OutputFreshness {
 public:
  // Everything an output wrote before the barrier is safe; the newest of it has event time
  // `newest`.
  void acknowledged(CheckpointId checkpoint, EventTime newest, Histogram& committed_age) {
    const std::lock_guard lock(mutex_);
    waiting_[checkpoint].push_back({newest, &committed_age});
  }
  // Checkpoint `last` and all before it count.
  void committed(CheckpointId last, EventTime now) {
    const std::lock_guard lock(mutex_);
    const auto end = waiting_.upper_bound(last);
    for (auto it = waiting_.begin(); it != end; ++it) {
      for (const Written& w : it->second) w.age->record(OutputMeter::age_us(w.newest, now));
    }
    waiting_.erase(waiting_.begin(), end);
  }

 private:
  struct Written {
    EventTime newest;
    Histogram* age;
  };
  std::mutex mutex_;
  std::map<CheckpointId, std::vector<Written>> waiting_;
};

}  // namespace tidemill
