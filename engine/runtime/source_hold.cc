#include "engine/runtime/source_hold.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "engine/base/error.h"

namespace tidemill {
namespace {

std::int64_t offset_of(const SourceHold::Offsets& offsets, const SplitStatus& split) {
  const auto found = offsets.find(split.name);
  return found == offsets.end() ? split.next_offset : found->second;
}

std::string beyond(const SourceHold::Offsets& offsets, const SourceHold::Offsets& positions) {
  std::string text;
  for (const auto& [split, position] : positions) {
    const auto found = offsets.find(split);
    if (found == offsets.end() || position <= found->second) continue;
    text += (text.empty() ? "" : ", ") + split + " is at " + std::to_string(position) +
            ", beyond " + std::to_string(found->second);
  }
  return text;
}

}  // namespace

// All subtasks of all sources between two looks at their readers. `num_waiting_` keeps them from
// entering again before we are in.
class SourceHold::Standstill {
 public:
  explicit Standstill(const SourceHold& hold) : hold_(hold), lock_(hold.mutex_) {
    ++hold.num_waiting_;
    for (Member* member : hold.members_) member->mutex_.lock();
    --hold.num_waiting_;
  }
  ~Standstill() {
    for (Member* member : hold_.members_) member->mutex_.unlock();
  }
  Standstill(const Standstill&) = delete;
  Standstill& operator=(const Standstill&) = delete;

 private:
  const SourceHold& hold_;
  const std::lock_guard<std::mutex> lock_;
};

SourceHold::Member::Member(SourceHold& hold, Splits splits)
    : hold_(hold), splits_(std::move(splits)) {
  const std::lock_guard lock(hold_.mutex_);
  offsets_ = hold_.offsets_;
  if (offsets_) {
    Offsets positions;
    for (SplitStatus& split : splits_()) {
      positions[split.name] = split.next_offset;
      tell(split);
    }
    if (const std::string text = beyond(*offsets_, positions); !text.empty()) {
      throw Error(ErrorCode::kRefused,
                  "the source cannot be held: " + text +
                      "; give offsets that are still to be read (hold.offsets), or none");
    }
  }
  hold_.members_.push_back(this);
}

SourceHold::Member::~Member() {
  const std::lock_guard lock(hold_.mutex_);
  std::erase(hold_.members_, this);
}

bool SourceHold::Member::enter() {
  if (hold_.num_waiting_.load(std::memory_order_acquire) > 0) return false;
  mutex_.lock();
  return true;
}

void SourceHold::Member::tell(SplitStatus& split) const {
  split.hold = offsets_ ? offset_of(*offsets_, split) : kNoHold;
}

SourceHold::Offsets SourceHold::positions_of(const std::vector<Member*>& members) {
  Offsets positions;
  for (const Member* member : members) {
    for (const SplitStatus& split : member->splits_()) {
      // Two sources may read one split: the hold is for both.
      std::int64_t& position = positions[split.name];
      position = std::max(position, split.next_offset);
    }
  }
  return positions;
}

void SourceHold::put(std::shared_ptr<const Offsets> offsets) {
  offsets_ = std::move(offsets);
  for (Member* member : members_) {
    member->offsets_ = offsets_;
    for (SplitStatus& split : member->splits_()) member->tell(split);
  }
}

void SourceHold::set(const Offsets& offsets) {
  const Standstill standstill(*this);
  if (members_.empty())
    throw Error(ErrorCode::kRefused, "no source runs just now: hold again when the job runs");
  if (const std::string text = beyond(offsets, positions_of(members_)); !text.empty())
    throw Error(ErrorCode::kRefused, "the sources cannot be held: " + text +
                                         "; hold them at offsets they have not reached");
  put(std::make_shared<const Offsets>(offsets));
}

SourceHold::Offsets SourceHold::set_here() {
  const Standstill standstill(*this);
  if (members_.empty())
    throw Error(ErrorCode::kRefused, "no source runs just now: hold again when the job runs");
  Offsets positions = positions_of(members_);
  put(std::make_shared<const Offsets>(positions));
  return positions;
}

void SourceHold::release() {
  const Standstill standstill(*this);
  put(nullptr);
}

std::shared_ptr<const SourceHold::Offsets> SourceHold::offsets() const {
  const std::lock_guard lock(mutex_);
  return offsets_;
}

SourceHold::Offsets SourceHold::positions() const {
  const Standstill standstill(*this);
  return positions_of(members_);
}

bool SourceHold::is_reached() const {
  const Standstill standstill(*this);
  if (!offsets_ || members_.empty()) return false;
  std::size_t num_reached = 0;
  for (const Member* member : members_) {
    for (const SplitStatus& split : member->splits_()) {
      if (split.next_offset != split.hold) return false;
      num_reached += offsets_->contains(split.name) ? 1 : 0;
    }
  }
  return num_reached >= offsets_->size();  // one that is not there yet is not reached
}

SourceHold::Offsets parse_offsets(const std::string& text) {
  SourceHold::Offsets offsets;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string one = text.substr(at, end - at);
    const std::size_t equals = one.rfind('=');
    std::int64_t offset = -1;
    if (equals != std::string::npos) {
      const char* last = one.data() + one.size();
      const auto [stop, error] = std::from_chars(one.data() + equals + 1, last, offset);
      if (error != std::errc() || stop != last) offset = -1;
    }
    if (equals == 0 || offset < 0)
      throw Error(ErrorCode::kConfig, "offsets are written TOPIC:P=N,…: " + text);
    offsets[one.substr(0, equals)] = offset;
    at = end + 1;
  }
  return offsets;
}

std::string to_text(const SourceHold::Offsets& offsets) {
  std::string text;
  for (const auto& [split, offset] : offsets)
    text += (text.empty() ? "" : ",") + split + "=" + std::to_string(offset);
  return text;
}

}  // namespace tidemill
