// Where the sources of a job stop before without ending: no end of input, no watermark beyond what
// the records say, no idle time, until it is released. So a checkpoint can be taken at exactly
// these offsets (docs/decisions/0005_promotion.md).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/operator/source.h"

namespace tidemill {

// Thread-safe. Outlives the attempts of a job; the hold stays in force over their restarts.
class SourceHold {
 public:
  using Offsets = std::map<std::string, std::int64_t>;  // by split: "user-events:3"

  // One subtask of a source, as long as it lives. Its own calls come from its thread.
  class Member {
   public:
    using Splits = std::function<std::vector<SplitStatus>&()>;

    // Throws Error(kRefused) if a split stands beyond the hold in force.
    Member(SourceHold& hold, Splits splits);
    ~Member();
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

    // Around each look at the reader and its splits. False: the hold is just being changed, leave
    // the reader alone. `leave` follows only a true answer.
    [[nodiscard]] bool enter();
    void leave() { mutex_.unlock(); }
    // Between the two: whether a hold is in force; and new splits get to know of it.
    [[nodiscard]] bool is_held() const { return offsets_ != nullptr; }
    void tell(SplitStatus& split) const;

   private:
    friend class SourceHold;
    SourceHold& hold_;
    const Splits splits_;
    std::mutex mutex_;
    std::shared_ptr<const Offsets> offsets_;  // none: nothing is held
  };

  // From a true `enter` to the `leave`; of no member, nothing.
  class Turn {
   public:
    explicit Turn(Member* member) : member_(member) {}
    ~Turn() {
      if (member_ != nullptr) member_->leave();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Member* const member_;
  };

  // In force from the start on; empty: nothing is held.
  explicit SourceHold(Offsets offsets = {})
      : offsets_(offsets.empty() ? nullptr : std::make_shared<const Offsets>(std::move(offsets))) {}

  // Instead of what holds now, at once for all sources; a split that is not named is held where it
  // stands. Throws Error(kRefused) naming the splits that are beyond, or if no source runs just
  // now: then nothing has changed.
  void set(const Offsets& offsets);
  // Each split where it stands now. Throws Error(kRefused) if no source runs just now.
  Offsets set_here();
  void release();

  // Nothing: none is in force.
  [[nodiscard]] std::shared_ptr<const Offsets> offsets() const;
  // Where the splits stand; empty while no source runs.
  [[nodiscard]] Offsets positions() const;
  // A hold is in force, and every split of every source stands at its offset.
  [[nodiscard]] bool is_reached() const;

 private:
  class Standstill;  // of all members
  static Offsets positions_of(const std::vector<Member*>& members);
  void put(std::shared_ptr<const Offsets> offsets);

  mutable std::mutex mutex_;  // before the members'
  mutable std::atomic<int> num_waiting_{0};
  std::vector<Member*> members_;
  std::shared_ptr<const Offsets> offsets_;
};

// "T:0=5,T:1=7", as flags and messages have it. Throws Error(kConfig) for a text that is no
// offsets.
SourceHold::Offsets parse_offsets(const std::string& text);
std::string to_text(const SourceHold::Offsets& offsets);

}  // namespace tidemill
