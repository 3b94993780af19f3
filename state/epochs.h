// Time between barriers, as one subtask's state object sees it.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>

#include "state/backend.h"

namespace tidemill {

// Numbers the stretches between barriers: 1, 2, … One thread.
//
//   changed in epoch e --barrier--> frozen --drained--> staged --SnapshotStore::snapshot--> linked
//
// Until an epoch is linked its entries stay in memory (the backend does not show them yet) and
// nothing newer may reach the backend (it would become part of the checkpoint).
class Epochs {
 public:
  [[nodiscard]] std::uint32_t current() const { return current_; }
  // The epoch being drained; 0: none.
  [[nodiscard]] std::uint32_t frozen() const { return frozen_; }
  [[nodiscard]] CheckpointId frozen_id() const { return frozen_id_; }
  // The last epoch whose entries the backend shows.
  [[nodiscard]] std::uint32_t linked() const { return linked_; }
  // The last epoch whose entries a view of the backend shows: perhaps more than `linked`, which
  // this thread has heard of earlier.
  [[nodiscard]] std::uint32_t shown_by(const Backend::View& view) const {
    std::uint32_t shown = linked_;
    for (const auto& [epoch, id] : unlinked_)
      if (epoch != frozen_ && view.has(id)) shown = epoch;
    return shown;
  }
  // True while nothing may be spilled.
  [[nodiscard]] bool is_holding() const { return !unlinked_.empty(); }

  void freeze(CheckpointId id) {
    frozen_ = current_++;
    frozen_id_ = id;
    unlinked_.emplace_back(frozen_, id);
  }
  void end_drain() { frozen_ = 0; }
  // True if the backend has linked more.
  bool update(const Backend& backend) {
    bool is_changed = false;
    while (!unlinked_.empty() && unlinked_.front().first != frozen_ &&
           backend.is_linked(unlinked_.front().second)) {
      linked_ = unlinked_.front().first;
      unlinked_.pop_front();
      is_changed = true;
    }
    return is_changed;
  }

 private:
  std::uint32_t current_ = 1;
  std::uint32_t frozen_ = 0;
  std::uint32_t linked_ = 0;
  CheckpointId frozen_id_ = 0;
  std::deque<std::pair<std::uint32_t, CheckpointId>> unlinked_;
};

}  // namespace tidemill
