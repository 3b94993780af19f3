// Timers per key, of event time or of any clock that drives them, as state: in every checkpoint,
// moved with their key group, deduplicated by (time, key, tag), and in memory only as far as the
// budget allows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_set.hpp>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "state/calendar.h"
#include "state/keyed_store.h"
#include "state/memory_size.h"
#include "state/operator_state.h"
#include "state/timer_key.h"

namespace tidemill {

// One thread: the operator's. K needs operator<, which orders the timers of one instant. Every
// group is fired as time goes on, so that what is past can be given back.
//
// A timer lies in a bucket of time: a namespace of a keyed store. Setting one asks nobody whether
// it is set: it may come to be in the store twice, in a bucket and in a part of it, and then fires
// once. What a group has in the buckets that have begun is in memory once more, ordered (Near). A
// fired timer is not removed from its bucket: the group's clock tells that it has fired, and the
// bucket is dropped as a whole when all groups have passed it.
template <class K>
class Timers {
 public:
  using Tag = std::uint64_t;

  // `most_near`: of the timers that are not due yet, how many may be in memory because their bucket
  // has begun; a bucket that would bring more is split. Of one group at least 64.
  Timers(OperatorContext& ctx, const std::string& name, std::size_t most_near = 65536)
      : groups_(ctx.key_groups()),
        store_(ctx, name, "timers", Namespaces::kByTime),
        fired_until_(ctx, name + ".fired"),
        near_(groups_.size()),
        most_near_(most_near),
        most_near_of_group_(std::max<std::size_t>(most_near / groups_.groups, 64)) {
    for (const EventTime ns : store_.namespaces()) {
      if (ns != kOverdue) calendar_.add(Calendar::bucket_of_namespace(ns));
    }
  }
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // Setting the same (time, key, tag) again changes nothing.
  void set(EventTime time, const K& key, std::uint64_t hash, Tag tag = 0) {
    give_back_memory();
    const KeyGroup group = key_group_of(hash, groups_.groups);
    Near& near = near_[group - groups_.begin];
    const EventTime fired = fired_until_[group];
    if (time == fired && is_firing_) settle();
    if (time < fired) {
      if (store_.add(kOverdue, {key, time, tag}, hash) && near.opened > EventTime::min())
        push(near, {time, key, tag, hash});
      near.note(time);
      return;
    }
    const Calendar::Bucket* bucket = calendar_.find(time);
    if (bucket == nullptr) {
      bucket = make_bucket(time);
    } else if (is_crowded(near, *bucket)) {
      bucket = make_part(*bucket, time);
    }
    put(near, *bucket, {time, key, tag, hash});
  }

  // Nothing happens if there is none.
  void erase(EventTime time, const K& key, std::uint64_t hash, Tag tag = 0) {
    const KeyGroup group = key_group_of(hash, groups_.groups);
    Near& near = near_[group - groups_.begin];
    const EventTime fired = fired_until_[group];
    if (time == fired && is_firing_) settle();
    const auto erase_in = [&](EventTime ns, EventTime start) {
      if (!erase_stored(ns, time, key, hash, tag)) return;
      if (start < near.opened) near.erased.insert({time, key, tag, hash});
      if (near.first == time) near.is_first_known = false;
    };
    if (time < fired) {
      erase_in(kOverdue, EventTime::min());
      return;
    }
    for_each_around(time, [&](const Calendar::Bucket& b) { erase_in(b.ns(), b.start); });
  }

  // Fires the timers of `group` with time < until, in the order (time, key, tag), at most `budget`
  // of them: fn(EventTime, const K&, hash, Tag). A fired timer is gone before its callback runs; a
  // callback may set timers, also ones that are due already, and erase them. kMore: the budget is
  // used up and more are due.
  template <class F>
  Progress fire_due(KeyGroup group, EventTime until, std::size_t budget, F&& fn) {
    give_back_memory();
    Near& near = near_[group - groups_.begin];
    now_ = std::max(now_, until);
    if (near.opened < until) open(group, near, until);
    EventTime& fired = fired_until_[group];
    is_firing_ = true;
    for (std::size_t n = 0; !near.heap.empty() && near.heap.front().time < until;) {
      if (n == budget && !is_erased(near, near.heap.front())) {
        settle();
        end_firing();
        return Progress::kMore;
      }
      Timer popped = pop(near);
      if (take_erased(near, popped)) continue;
      near.is_first_known = false;
      const Timer& timer = begin_firing(fired, std::move(popped));
      ++n;
      fn(timer.time, timer.key, timer.hash, timer.tag);
    }
    end_firing();
    if (fired < until) {
      fired = until;
      if (calendar_.first_last() < until) drop_passed();
    }
    return Progress::kDone;
  }

  // Calls fn(const K&, hash) for the keys of timers that fire_due(group, until) is going to fire,
  // at most `most`, in no particular order, some twice: so that what they need can be loaded
  // together.
  template <class F>
  void for_each_due(KeyGroup group, EventTime until, std::size_t most, F&& fn) {
    Near& near = near_[group - groups_.begin];
    now_ = std::max(now_, until);
    if (near.opened < until) open(group, near, until);
    // What is due is a tree at the top of the heap.
    due_places_.assign(1, 0);
    while (!due_places_.empty() && most > 0) {
      const std::size_t place = due_places_.back();
      due_places_.pop_back();
      if (place >= near.heap.size() || near.heap[place].time >= until) continue;
      fn(near.heap[place].key, near.heap[place].hash);
      --most;
      due_places_.push_back(2 * place + 2);
      due_places_.push_back(2 * place + 1);
    }
  }

  // What `fire_due` has come to: the timers of the group, or of all groups, before this instant
  // have fired, but for those that were set later.
  [[nodiscard]] EventTime fired_until(KeyGroup group) { return fired_until_[group]; }
  [[nodiscard]] EventTime fired_until() const { return fired_until_.min(); }

  // No timer is stored, not even one that has fired.
  [[nodiscard]] bool is_empty() const { return store_.namespaces().empty(); }
  // No timer of the group that is set now fires before this; looks into no bucket. min(): it has
  // not been fired yet.
  [[nodiscard]] EventTime earliest(KeyGroup group) const {
    const Near& near = near_[group - groups_.begin];
    if (near.opened == EventTime::min()) return near.opened;
    const auto& buckets = calendar_.buckets();
    const auto next = std::ranges::lower_bound(buckets, near.opened, {}, &Calendar::Bucket::start);
    const EventTime begins = next == buckets.end() ? EventTime::max() : next->start;
    return near.heap.empty() ? begins : std::min(begins, near.heap.front().time);
  }

  // The time of the group's first timer; EventTime::max() if there is none.
  [[nodiscard]] EventTime next_due(KeyGroup group) {
    Near& near = near_[group - groups_.begin];
    if (near.is_first_known) return near.first;
    while (!near.heap.empty() && is_erased(near, near.heap.front())) take_erased(near, pop(near));
    EventTime first = near.heap.empty() ? EventTime::max() : near.heap.front().time;
    const auto look_at = [&](EventTime ns, EventTime fired) {
      store_.for_each(ns, group, [&](const TimerKey<K>& t, std::uint64_t, const TimerMark&) {
        if (t.time >= fired) first = std::min(first, t.time);
      });
    };
    if (near.opened == EventTime::min()) look_at(kOverdue, EventTime::min());
    for (const Calendar::Bucket& b : calendar_.buckets()) {
      if (b.start > first) break;
      if (b.start >= near.opened) look_at(b.ns(), fired_until_[group]);
    }
    near.first = first;
    near.is_first_known = true;
    return first;
  }

 private:
  struct Timer {
    EventTime time;
    K key;
    Tag tag;
    std::uint64_t hash;
    friend bool operator<(const Timer& a, const Timer& b) {
      return std::tie(a.time, a.key, a.tag) < std::tie(b.time, b.key, b.tag);
    }
    friend bool operator==(const Timer& a, const Timer& b) {
      return a.time == b.time && a.tag == b.tag && a.hash == b.hash && a.key == b.key;
    }
  };
  struct Later {
    bool operator()(const Timer& a, const Timer& b) const { return b < a; }
  };
  struct TimerHash {
    std::size_t operator()(const Timer& t) const {
      return t.hash ^ (static_cast<std::uint64_t>(t.time.ms) * 0x9e3779b97f4a7c15ULL) ^ t.tag;
    }
  };
  // The timers of a group that lie in buckets which start before `opened`, as a heap; some twice.
  struct Near {
    EventTime opened = EventTime::min();
    EventTime first = EventTime::max();  // if known: what next_due answers
    bool is_first_known = false;
    std::vector<Timer> heap;
    // Erased, but still in the heap; one that comes back is not put there again.
    boost::unordered_flat_set<Timer, TimerHash> erased;

    void note(EventTime set) { first = std::min(first, set); }
  };

  // What a bucket that is too wide had of a group: [begin, end) of `loaded_`.
  struct Part {
    Calendar::Bucket bucket;
    std::size_t begin;
    std::size_t end;
  };

  // Holds timers that were due already when they were set; they are removed one by one.
  static constexpr EventTime kOverdue = EventTime::min();
  static constexpr int kSplitLevels = 4;          // into 16 parts
  static constexpr std::size_t kFewTimers = 512;  // in a bucket: a waste of buckets
  static constexpr std::uint32_t kGiveBackEvery = 1024;

  static void push(Near& near, Timer timer) {
    if (take_erased(near, timer)) return;
    near.heap.push_back(std::move(timer));
    std::ranges::push_heap(near.heap, Later{});
  }
  // The first one, with all that are the same.
  static Timer pop(Near& near) {
    const auto take = [&near] {
      std::ranges::pop_heap(near.heap, Later{});
      Timer last = std::move(near.heap.back());
      near.heap.pop_back();
      return last;
    };
    Timer first = take();
    while (!near.heap.empty() && near.heap.front() == first) take();
    return first;
  }
  static bool is_erased(const Near& near, const Timer& timer) {
    return !near.erased.empty() && near.erased.contains(timer);
  }
  static bool take_erased(Near& near, const Timer& timer) {
    return !near.erased.empty() && near.erased.erase(timer) != 0;
  }

  template <class F>
  void for_each_around(EventTime time, F&& fn) {
    const Calendar::Bucket* finest = calendar_.find(time);
    if (finest == nullptr) return;
    fn(*finest);
    if (!calendar_.is_nested()) return;
    for (const Calendar::Bucket& b : calendar_.buckets()) {
      if (b.start > time) break;
      if (b.level > finest->level && b.contains(time)) fn(b);
    }
  }
  // True if this bucket has begun and would keep too much: timers in memory, or fired ones.
  [[nodiscard]] bool is_crowded(const Near& near, const Calendar::Bucket& bucket) const {
    return bucket.start < near.opened && bucket.level > Calendar::kFinest &&
           (near.heap.size() > 2 * most_near_of_group_ || fired_since_drop_ > most_near_);
  }
  const Calendar::Bucket* make_bucket(EventTime time) {
    if (now_ == EventTime::min()) now_ = time;
    calendar_.make(time, calendar_.level_for(time - now_));
    return calendar_.find(time);
  }
  const Calendar::Bucket* make_part(const Calendar::Bucket& whole, EventTime time) {
    const int level = std::max(whole.level - kSplitLevels, Calendar::kFinest);
    calendar_.refine(level);
    calendar_.make(time, level);
    return calendar_.find(time);
  }
  void put(Near& near, const Calendar::Bucket& bucket, Timer timer) {
    if (!store_.add(bucket.ns(), {timer.key, timer.time, timer.tag}, timer.hash)) return;
    near.note(timer.time);
    if (bucket.start < near.opened) push(near, std::move(timer));
  }
  bool erase_stored(EventTime ns, EventTime time, const K& key, std::uint64_t hash, Tag tag) {
    return store_.erase(ns, {key, time, tag}, hash);
  }

  // A timer of the instant up to which its group has fired is still in its bucket, and the group's
  // clock does not tell that it has fired: `settle` removes such ones. Others need nothing.
  const Timer& begin_firing(EventTime& fired, Timer timer) {
    ++fired_since_drop_;
    ++operations_;
    if (timer.time < fired) {
      settle();
      erase_stored(kOverdue, timer.time, timer.key, timer.hash, timer.tag);
      num_settled_ = firing_.size() + 1;
    } else if (timer.time > fired) {
      firing_.clear();
      num_settled_ = 0;
      fired = timer.time;
    }
    return firing_.emplace_back(std::move(timer));
  }
  void settle() {
    for (; num_settled_ < firing_.size(); ++num_settled_) {
      const Timer& t = firing_[num_settled_];
      for_each_around(t.time, [&](const Calendar::Bucket& b) {
        erase_stored(b.ns(), t.time, t.key, t.hash, t.tag);
      });
    }
  }
  void end_firing() {
    is_firing_ = false;
    firing_.clear();
    num_settled_ = 0;
  }

  // Takes what the group has in the buckets that have begun into memory; splits what is too much.
  void open(KeyGroup group, Near& near, EventTime until) {
    loaded_.clear();
    const auto load = [&](EventTime ns, EventTime fired) {
      store_.for_each(ns, group, [&](const TimerKey<K>& t, std::uint64_t hash, const TimerMark&) {
        if (t.time >= fired) loaded_.push_back({t.time, t.key, t.tag, hash});
      });
    };
    if (near.opened == EventTime::min()) load(kOverdue, EventTime::min());
    const EventTime fired = fired_until_[group];
    const auto& buckets = calendar_.buckets();
    too_wide_.clear();
    for (auto b = std::ranges::lower_bound(buckets, near.opened, {}, &Calendar::Bucket::start);
         b != buckets.end() && b->start < until; ++b) {
      const std::size_t begin = loaded_.size();
      load(b->ns(), fired);
      const auto is_later = [until](const Timer& t) { return t.time >= until; };
      const auto num_later = std::count_if(loaded_.begin() + static_cast<std::ptrdiff_t>(begin),
                                           loaded_.end(), is_later);
      if (static_cast<std::size_t>(num_later) > most_near_of_group_ && b->level > Calendar::kFinest)
        too_wide_.push_back({*b, begin, loaded_.size()});
    }
    near.opened = until;
    for (const Part& part : too_wide_) split(group, near, part);
    if (loaded_.empty()) return;
    std::size_t at = 0;
    const auto keep_until = [&](std::size_t end) {
      for (; at < end; ++at) {
        if (!take_erased(near, loaded_[at])) near.heap.push_back(std::move(loaded_[at]));
      }
    };
    for (const Part& part : too_wide_) {
      keep_until(part.begin);
      at = part.end;
    }
    keep_until(loaded_.size());
    std::ranges::make_heap(near.heap, Later{});
    operations_ += static_cast<std::uint32_t>(loaded_.size());
    if (loaded_.size() > most_near_) loaded_ = {};
  }
  void split(KeyGroup group, Near& near, const Part& part) {
    for (std::size_t i = part.begin; i < part.end; ++i) {
      Timer& timer = loaded_[i];
      const Calendar::Bucket* finer = calendar_.find(timer.time);
      if (finer->level >= part.bucket.level) finer = make_part(part.bucket, timer.time);
      put(near, *finer, std::move(timer));
    }
    store_.drop(part.bucket.ns(), group);
  }

  void drop_passed() {
    const EventTime passed = fired_until_.min();
    std::vector<Calendar::Bucket> gone;
    for (const Calendar::Bucket& b : calendar_.buckets()) {
      if (b.last < passed) gone.push_back(b);
    }
    if (gone.empty()) return;
    for (const Calendar::Bucket& b : gone) {
      store_.drop(b.ns());
      calendar_.remove(b);
    }
    if (fired_since_drop_ < kFewTimers * gone.size()) calendar_.coarsen();
    fired_since_drop_ = 0;
  }

  void give_back_memory() {
    if (++operations_ < kGiveBackEvery) return;
    operations_ = 0;
    std::size_t bytes = loaded_.capacity() * sizeof(Timer);
    for (Near& near : near_) {
      if (near.heap.capacity() > 4 * near.heap.size() + kFewTimers) near.heap.shrink_to_fit();
      bytes += (near.heap.capacity() + near.erased.bucket_count()) * sizeof(Timer);
      // The first one's key stands for all of them.
      if (!near.heap.empty()) bytes += near.heap.size() * memory_size(near.heap.front().key);
    }
    store_.charge_besides(bytes);
    store_.give_back_memory();
  }

  const KeyGroupRange groups_;
  KeyedStore<TimerKey<K>, TimerMark> store_;
  KeyGroupClocks fired_until_;  // the group's timers before it have fired, but for overdue ones
  Calendar calendar_;
  std::vector<Near> near_;
  const std::size_t most_near_;
  const std::size_t most_near_of_group_;
  EventTime now_ = EventTime::min();
  // While a group is being fired: those of the instant it has come to, and how many of them need
  // not be settled any more.
  bool is_firing_ = false;
  std::vector<Timer> firing_;
  std::size_t num_settled_ = 0;
  std::size_t fired_since_drop_ = 0;
  std::uint32_t operations_ = 0;
  // Empty between calls.
  std::vector<Timer> loaded_;
  std::vector<Part> too_wide_;
  std::vector<std::size_t> due_places_;
};

}  // namespace tidemill
