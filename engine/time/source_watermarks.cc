#include "engine/time/source_watermarks.h"

#include <algorithm>
#include <utility>

namespace tidemill {

std::size_t SourceWatermarks::add_split(std::string name, std::optional<EventTime> restored) {
  const std::lock_guard lock(mutex_);
  const std::size_t split = merger_.add_input(restored.value_or(EventTime::min()));
  names_.push_back(std::move(name));
  if (restored && !is_started_) restored_ = std::min(*restored, restored_.value_or(*restored));
  finished_.store(false, std::memory_order_release);
  idle_.store(false, std::memory_order_release);
  return split;
}

void SourceWatermarks::start() {
  const std::lock_guard lock(mutex_);
  if (is_started_) return;
  is_started_ = true;
  if (!restored_) return;
  merger_.restore(*restored_);
  update();
}

void SourceWatermarks::hold(Hold what) {
  const std::lock_guard lock(mutex_);
  held_ = what;
  if (merger_.size() > 0) update();
}

EventTime SourceWatermarks::activate(std::size_t split) {
  const std::lock_guard lock(mutex_);
  merger_.activate(split);
  update();
  return merger_.of(split);
}

void SourceWatermarks::advance(std::size_t split, EventTime watermark) {
  const std::lock_guard lock(mutex_);
  merger_.advance(split, watermark);
  update();
}

void SourceWatermarks::set_idle(std::size_t split) {
  const std::lock_guard lock(mutex_);
  merger_.set_idle(split);
  update();
}

void SourceWatermarks::finish(std::size_t split, EventTime last) {
  const std::lock_guard lock(mutex_);
  merger_.finish(split, last);
  update();
}

bool SourceWatermarks::must_wait(std::size_t split) const {
  if (!max_drift_) return false;
  const std::lock_guard lock(mutex_);
  const auto slowest = merger_.holder();
  if (!slowest || *slowest == split) return false;
  return merger_.of(split) > merger_.of(*slowest) + *max_drift_;
}

EventTime SourceWatermarks::snapshot_of(std::size_t split) const {
  const std::lock_guard lock(mutex_);
  return merger_.is_active(split) ? merger_.of(split)
                                  : std::max(merger_.of(split), merger_.merged());
}

std::optional<SourceWatermarks::Holder> SourceWatermarks::holder() const {
  const std::lock_guard lock(mutex_);
  if (!holder_) return std::nullopt;
  EventTime fastest = merger_.of(*holder_);
  for (std::size_t i = 0; i < merger_.size(); ++i) {
    if (merger_.is_active(i)) fastest = std::max(fastest, merger_.of(i));
  }
  return Holder{names_[*holder_], holder_since_, fastest - merger_.of(*holder_)};
}

std::vector<SourceWatermarks::Split> SourceWatermarks::splits() const {
  const std::lock_guard lock(mutex_);
  std::vector<Split> all;
  for (std::size_t i = 0; i < merger_.size(); ++i) {
    const bool is_finished = merger_.is_finished(i);
    all.push_back({names_[i], merger_.of(i), !is_finished && !merger_.is_active(i), is_finished});
  }
  return all;
}

void SourceWatermarks::update() {
  if (held_ == Hold::kAll) return;
  const auto holder = merger_.holder();
  if (holder != holder_) {
    holder_ = holder;
    holder_since_ = clock_.monotonic();
  }
  merged_.store(merger_.merged().ms, std::memory_order_release);
  // The end before idleness: an idle source that ends is never seen to be active.
  if (merger_.all_finished()) {
    if (held_ == Hold::kEnd) return;
    finished_.store(true, std::memory_order_release);
  }
  idle_.store(merger_.is_idle(), std::memory_order_release);
}

}  // namespace tidemill
