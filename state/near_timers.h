// The timers of one group that are in memory in the order in which they fire (timers.h), and how
// far they have been read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <queue>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_set.hpp>

#include "state/calendar.h"
#include "state/stored_key.h"

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
// that one, as a heap; some twice. One thread.
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
  std::vector<Timer> heap;
  // Erased, but still in the heap; one that comes back is not put there again.
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

  void push(Timer timer) {
    if (take_erased(timer)) return;
    heap.push_back(std::move(timer));
    std::ranges::push_heap(heap, Later{});
  }
  // All of them; leaves them moved from.
  void push(std::vector<Timer>& timers) {
    const bool is_much = timers.size() > heap.size() / 8;
    for (Timer& timer : timers) {
      if (take_erased(timer)) continue;
      heap.push_back(std::move(timer));
      if (!is_much) std::ranges::push_heap(heap, Later{});
    }
    if (is_much) std::ranges::make_heap(heap, Later{});
  }
  // The first one, with all that are the same.
  Timer pop() {
    const auto take = [this] {
      std::ranges::pop_heap(heap, Later{});
      Timer last = std::move(heap.back());
      heap.pop_back();
      return last;
    };
    Timer taken = take();
    while (!heap.empty() && heap.front() == taken) take();
    return taken;
  }
  [[nodiscard]] bool is_erased(const Timer& timer) const {
    return !erased.empty() && erased.contains(timer);
  }
  bool take_erased(const Timer& timer) { return !erased.empty() && erased.erase(timer) != 0; }

  // The keys of the first ones before `until`, at most `most`, in their order. They end at the next
  // change.
  void next_keys(EventTime until, std::size_t most, std::vector<KeyRef<K>>& keys) const {
    keys.clear();
    std::priority_queue<std::size_t, std::vector<std::size_t>, PlaceLater> places({&heap});
    if (!heap.empty()) places.push(0);
    while (!places.empty() && keys.size() < most) {
      const std::size_t at = places.top();
      places.pop();
      if (heap[at].time >= until) return;
      keys.push_back({&heap[at].key, heap[at].hash});
      for (const std::size_t child : {2 * at + 1, 2 * at + 2}) {
        if (child < heap.size()) places.push(child);
      }
    }
  }

 private:
  struct Later {
    bool operator()(const Timer& a, const Timer& b) const { return b < a; }
  };
  struct PlaceLater {
    const std::vector<Timer>* heap;
    bool operator()(std::size_t a, std::size_t b) const { return (*heap)[b] < (*heap)[a]; }
  };
};

}  // namespace tidemill
