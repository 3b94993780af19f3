// The timers of one group that are in memory in the order in which they fire (timers.h), and how
// far they have been read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_set.hpp>

#include "state/calendar.h"

namespace tidemill {

template <class K>
struct PendingTimer {
  EventTime time;
  K key;
  std::uint64_t tag;
  std::uint64_t hash;

  friend bool operator<(const PendingTimer& a, const PendingTimer& b) {
    return std::tie(a.time, a.key, a.tag) < std::tie(b.time, b.key, b.tag);
  }
  friend bool operator==(const PendingTimer& a, const PendingTimer& b) {
    return a.time == b.time && a.tag == b.tag && a.hash == b.hash && a.key == b.key;
  }
};

// Those that lie in the buckets before `next`, in the calendar's order, and what has been read of
// that one; some twice. A heap, but for the first ones of a firing, which are in order. One thread.
template <class K>
struct NearTimers {
  using Timer = PendingTimer<K>;
  struct TimerHash {
    std::size_t operator()(const Timer& t) const {
      return t.hash ^ (static_cast<std::uint64_t>(t.time.ms) * 0x9e3779b97f4a7c15ULL) ^ t.tag;
    }
  };

  bool has_begun = false;  // those that were overdue have been read
  Calendar::Bucket next = Calendar::kBeforeAll;
  // Of the bucket at `next`: whether it is being read, and from which hash on it still has to be;
  // and whether it is too wide, so that all it has goes to parts of it, not to the heap.
  bool is_reading = false;
  bool is_splitting = false;
  std::uint64_t next_hash = 0;
  EventTime first = EventTime::max();  // if known: when the first one of all fires
  bool is_first_known = false;
  // Erased, but still here; one that comes back is not put here again.
  boost::unordered_flat_set<Timer, TimerHash> erased;

  void note(EventTime set) { first = std::min(first, set); }

  [[nodiscard]] bool has_read(const Calendar::Bucket& b) const {
    return Calendar::comes_before(b, next);
  }
  [[nodiscard]] bool is_at(const Calendar::Bucket& b) const {
    return is_reading && b.start == next.start && b.level == next.level;
  }
  // A timer of the bucket with this hash is in the heap if it is set.
  [[nodiscard]] bool has_read(const Calendar::Bucket& b, std::uint64_t hash) const {
    return has_read(b) || (is_at(b) && !is_splitting && hash < next_hash);
  }
  // The bucket at `next` has been read.
  void go_on() {
    --next.level;
    is_reading = false;
    is_splitting = false;
  }
  // And so have all that start before this.
  void pass(EventTime t) {
    if (next.start < t) next = {t, t, Calendar::kBeforeAll.level};
  }

  [[nodiscard]] bool empty() const { return heap_.empty() && !has_ready(); }
  [[nodiscard]] std::size_t size() const { return heap_.size() + ready_.size() - num_taken_; }
  // The first one. Requires: it is not empty.
  [[nodiscard]] const Timer& front() const {
    return is_ready_first() ? ready_[num_taken_] : heap_.front();
  }

  void push(Timer timer) {
    if (take_erased(timer)) return;
    heap_.push_back(std::move(timer));
    std::ranges::push_heap(heap_, Later{});
  }
  // All of them; leaves them moved from.
  void push(std::vector<Timer>& timers) {
    const bool is_much = timers.size() > heap_.size() / 8;
    for (Timer& timer : timers) {
      if (take_erased(timer)) continue;
      heap_.push_back(std::move(timer));
      if (!is_much) std::ranges::push_heap(heap_, Later{});
    }
    if (is_much) std::ranges::make_heap(heap_, Later{});
  }
  // Takes out the first one, with all that are the same.
  Timer pop() {
    Timer taken = take();
    while (!empty() && front() == taken) take();
    return taken;
  }
  [[nodiscard]] bool is_erased(const Timer& timer) const {
    return !erased.empty() && erased.contains(timer);
  }
  bool take_erased(const Timer& timer) { return !erased.empty() && erased.erase(timer) != 0; }

  // Brings the first ones before `until`, about as many as `most`, into their order, all at once.
  void make_ready(EventTime until, std::size_t most) {
    if (ready_.size() - num_taken_ < most && !heap_.empty() && heap_.front().time < until)
      fill_ready(until, most);
  }
  // What `pop` gives next, at most `most` before `until`; ends at the next change. Some may be
  // missing, and those that are pushed meanwhile are.
  [[nodiscard]] std::span<const Timer> ready(EventTime until, std::size_t most) {
    make_ready(until, most);
    const auto all = std::span<const Timer>(ready_).subspan(num_taken_);
    const auto end =
        std::ranges::partition_point(all, [&](const Timer& t) { return t.time < until; });
    return all.first(std::min(most, static_cast<std::size_t>(end - all.begin())));
  }
  [[nodiscard]] bool has_ready() const { return num_taken_ < ready_.size(); }

  // Gives memory back, but for that of `few`.
  void shrink(std::size_t few) {
    if (heap_.capacity() > 4 * heap_.size() + few) heap_.shrink_to_fit();
  }
  [[nodiscard]] std::size_t bytes() const {
    return (heap_.capacity() + ready_.capacity() + erased.bucket_count()) * sizeof(Timer);
  }

 private:
  struct Later {
    bool operator()(const Timer& a, const Timer& b) const { return b < a; }
  };

  [[nodiscard]] bool is_ready_first() const {
    return has_ready() && (heap_.empty() || !(heap_.front() < ready_[num_taken_]));
  }
  Timer take() {
    if (!is_ready_first()) return take_from_heap();
    Timer taken = std::move(ready_[num_taken_++]);
    if (!has_ready()) forget_ready();
    return taken;
  }
  Timer take_from_heap() {
    std::ranges::pop_heap(heap_, Later{});
    Timer last = std::move(heap_.back());
    heap_.pop_back();
    return last;
  }
  void forget_ready() {
    // Groups are many, and few are fired at a time.
    if (ready_.capacity() > kKept) ready_ = std::vector<Timer>();
    ready_.clear();
    num_taken_ = 0;
  }
  void fill_ready(EventTime until, std::size_t most) {
    // What a former firing has left there may come behind what is in the heap.
    for (; has_ready(); ++num_taken_) {
      heap_.push_back(std::move(ready_[num_taken_]));
      std::ranges::push_heap(heap_, Later{});
    }
    forget_ready();
    const auto is_due = [&] { return !heap_.empty() && heap_.front().time < until; };
    const auto take_up_to = [&](std::size_t count) {
      while (ready_.size() < count && is_due()) ready_.push_back(take_from_heap());
    };
    take_up_to(std::min(most, kFew));
    if (!is_due()) return;
    if (heap_.size() + ready_.size() > most) {
      take_up_to(most);
      return;
    }
    // Many at once are sorted faster than taken one by one. (std::ranges::partition returns a
    // subrange, which clang 14 does not compile.)
    const auto due =
        std::partition(heap_.begin(), heap_.end(), [&](const Timer& t) { return t.time >= until; });
    const auto sorted = static_cast<std::ptrdiff_t>(ready_.size());
    ready_.insert(ready_.end(), std::move_iterator(due), std::move_iterator(heap_.end()));
    heap_.erase(due, heap_.end());
    std::ranges::make_heap(heap_, Later{});
    std::ranges::sort(ready_.begin() + sorted, ready_.end(), std::less{});
  }

  static constexpr std::size_t kFew = 32;
  static constexpr std::size_t kKept = 4;  // timers' worth of memory, between two firings

  std::vector<Timer> heap_;
  std::vector<Timer> ready_;  // in their order, from `num_taken_` on
  std::size_t num_taken_ = 0;
};

}  // namespace tidemill
