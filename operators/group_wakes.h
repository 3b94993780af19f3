// Which groups of keys a watermark need not look at, since none of their timers is due.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/base/time.h"
#include "engine/operator/key_group.h"

namespace tidemill {

// One thread: the operator's. Derived from Timers: after a restart every group is looked at once.
class GroupWakes {
 public:
  explicit GroupWakes(KeyGroupRange groups)
      : begin_(groups.begin), first_(groups.size(), EventTime::min()) {}

  // A timer of the group has been set.
  void note(KeyGroup group, EventTime time) {
    EventTime& first = first_[group - begin_];
    first = std::min(first, time);
  }
  // A firing of the timers before `until` begins, or goes on. Now and then all groups are looked
  // at, and at the end of input, so that what their timers are done with is given back.
  void begin_firing(EventTime until) {
    looks_at_all_ = ++num_firings_ % kLookAtAllEvery == 0 || until == EventTime::max();
  }
  [[nodiscard]] bool is_quiet(KeyGroup group, EventTime until) const {
    return !looks_at_all_ && first_[group - begin_] >= until;
  }
  // The group's timers have fired; none of the others is due before `earliest`.
  void set_fired(KeyGroup group, EventTime earliest) { first_[group - begin_] = earliest; }

 private:
  static constexpr std::uint32_t kLookAtAllEvery = 64;

  const KeyGroup begin_;
  std::vector<EventTime> first_;  // of each group
  std::uint32_t num_firings_ = 0;
  bool looks_at_all_ = false;
};

}  // namespace tidemill
