// Event time of one source: a watermark per split, merged over all splits of all subtasks.
//
// The splits of a source are merged in one place, not per subtask, so that every subtask sends the
// same merged watermark. Then no operator can have a watermark that a split which returns from
// idleness does not know: the split is judged against the merged watermark at its return, and from
// then on it holds that watermark (docs/semantics.md 1).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/time.h"
#include "engine/time/watermark_merger.h"

namespace tidemill {

// Thread-safe; touched once per batch. A split's own calls come from one thread.
class SourceWatermarks {
 public:
  // `max_drift`: a split whose watermark is more than this ahead of the slowest active one is not
  // read.
  SourceWatermarks(const Clock& clock, std::optional<Duration> max_drift)
      : clock_(clock), max_drift_(max_drift), merger_(0) {}

  // Joins at `restored`, or without one at the merged watermark. All splits known at the start are
  // added before `start`.
  std::size_t add_split(std::string name, std::optional<EventTime> restored);
  // Goes on from the merged watermark of the checkpoint, which is the least restored one. Comes
  // before everything below; only the first call counts.
  void start();

  // The split has a record or a watermark: it counts (again). Returns its watermark, raised to the
  // merged one if it was idle.
  EventTime activate(std::size_t split);
  void advance(std::size_t split, EventTime watermark);
  void set_idle(std::size_t split);
  // Its last watermark is `last`.
  void finish(std::size_t split, EventTime last);

  // Tests take event time step by step. kAll: what is said of several splits shows nothing in
  // between. kEnd: all but the end shows, so that what the last watermark causes comes everywhere
  // before what the end causes.
  enum class Hold { kNothing, kEnd, kAll };
  void hold(Hold what);

  [[nodiscard]] EventTime merged() const { return {merged_.load(std::memory_order_acquire)}; }
  [[nodiscard]] bool is_idle() const { return idle_.load(std::memory_order_acquire); }
  [[nodiscard]] bool all_finished() const { return finished_.load(std::memory_order_acquire); }
  // True if drift alignment forbids reading this split now.
  [[nodiscard]] bool must_wait(std::size_t split) const;
  // What a checkpoint stores for the split: its watermark, an idle one raised to the merged one (a
  // restored split is active).
  [[nodiscard]] EventTime snapshot_of(std::size_t split) const;

  // Who holds the watermark back, since when (monotonic), and how far the fastest split is ahead of
  // it.
  struct Holder {
    std::string split;
    std::chrono::nanoseconds since{};
    Duration behind{};
  };
  [[nodiscard]] std::optional<Holder> holder() const;
  struct Split {
    std::string name;
    EventTime watermark;
    bool is_idle = false;
    bool is_finished = false;
  };
  [[nodiscard]] std::vector<Split> splits() const;

 private:
  void update();  // publishes; requires the lock

  const Clock& clock_;
  const std::optional<Duration> max_drift_;
  mutable std::mutex mutex_;
  WatermarkMerger merger_;
  std::vector<std::string> names_;
  std::optional<EventTime> restored_;
  bool is_started_ = false;
  Hold held_ = Hold::kNothing;
  std::optional<std::size_t> holder_;
  std::chrono::nanoseconds holder_since_{};
  std::atomic<std::int64_t> merged_{EventTime::min().ms};
  std::atomic<bool> idle_{false};
  std::atomic<bool> finished_{false};
};

}  // namespace tidemill
