// Timers per key, of event time or of any clock that drives them, as state: in every checkpoint,
// moved with their key group, deduplicated by (time, key, tag), and in memory only as far as the
// budget allows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "state/calendar.h"
#include "state/keyed_store.h"
#include "state/memory_size.h"
#include "state/near_timers.h"
#include "state/operator_state.h"
#include "state/timer_key.h"

namespace tidemill {

// One thread: the operator's. K needs operator<, which orders the timers of one instant. Every
// group is fired as time goes on, so that what is past can be given back.
//
// A timer lies in a bucket of time: a namespace of a keyed store. Setting one asks nobody whether
// it is set: it may come to be in the store twice, in a bucket and in a part of it, and then fires
// once. What a group has in the buckets that have begun is in memory once more, ordered (Near);
// it is read bucket by bucket and in pieces of the group's hashes, so that no firing is held up by
// how many there are. A fired timer is not removed from its bucket: the group's clock tells that it
// has fired, and the bucket is dropped as a whole when all groups have passed it.
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
        may_fire_(groups_.size(), EventTime::min()),
        most_near_(most_near),
        most_near_of_group_(std::max<std::size_t>(most_near / groups_.groups, 64)),
        wanted_piece_(std::clamp<std::size_t>(most_near / 16, 64, 4096)) {
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
      if (store_.add(kOverdue, {key, time, tag}, hash) && near.has_begun)
        near.push({time, key, tag, hash});
      note(group, time);
      return;
    }
    const Calendar::Bucket* bucket = calendar_.find(time);
    if (bucket == nullptr) {
      bucket = make_bucket(time);
    } else if (is_crowded(near, *bucket)) {
      bucket = make_part(*bucket, time);
    }
    put(group, *bucket, {time, key, tag, hash});
  }

  // Nothing happens if there is none.
  void erase(EventTime time, const K& key, std::uint64_t hash, Tag tag = 0) {
    const KeyGroup group = key_group_of(hash, groups_.groups);
    Near& near = near_[group - groups_.begin];
    const EventTime fired = fired_until_[group];
    if (time == fired && is_firing_) settle();
    const auto erase_in = [&](EventTime ns, bool is_loaded) {
      if (!store_.erase(ns, {key, time, tag}, hash)) return;
      if (is_loaded) near.erased.insert({time, key, tag, hash});
      if (near.first == time) near.is_first_known = false;
    };
    if (time < fired) {
      erase_in(kOverdue, near.has_begun);
      return;
    }
    for_each_around(time,
                    [&](const Calendar::Bucket& b) { erase_in(b.ns(), near.has_read(b, hash)); });
  }

  // Fires the timers of `group` with time < until, in the order (time, key, tag), at most `budget`
  // of them: fn(EventTime, const K&, hash, Tag). A fired timer is gone before its callback runs; a
  // callback may set timers, also ones that are due already, and erase them. kMore: the budget is
  // used up and more are due, or there is more to read, which happens only if there is a budget.
  template <class F>
  Progress fire_due(KeyGroup group, EventTime until, std::size_t budget, F&& fn) {
    give_back_memory();
    Near& near = near_[group - groups_.begin];
    now_ = std::max(now_, until);
    EventTime& fired = fired_until_[group];
    const auto interrupt = [this] {
      settle();
      end_firing();
      return Progress::kMore;
    };
    is_firing_ = true;
    for (std::size_t n = 0;;) {
      if (const Calendar::Bucket* next = next_to_load(near, until)) {
        if (num_loaded_ >= 2 * wanted_piece_ && budget != kNoBudget) {
          num_loaded_ = 0;
          return interrupt();
        }
        load_piece(group, near, *next, until);
        continue;
      }
      if (!near.has_ready()) near.make_ready(until, std::min(budget - n, kMostReady));
      if (near.empty() || near.front().time >= until) break;
      if (n == budget && !near.is_erased(near.front())) return interrupt();
      Timer popped = near.pop();
      if (near.take_erased(popped)) continue;
      near.is_first_known = false;
      const Timer& timer = begin_firing(fired, std::move(popped));
      ++n;
      fn(timer.time, timer.key, timer.hash, timer.tag);
    }
    end_firing();
    near.pass(until);
    may_fire_[group - groups_.begin] = earliest(near);
    if (fired < until) {
      fired = until;
      if (calendar_.first_last() < until) drop_passed();
    }
    return Progress::kDone;
  }

  // Fires those of all groups, one group after the other, at most `budget` in all. begin(group) is
  // called before each group that may have some. A callback sets timers of its key's group only.
  template <class F, class Begin>
  Progress fire_due(EventTime until, std::size_t budget, F&& fn, Begin&& begin) {
    for (KeyGroup group = next_due_group(groups_.begin, until); group < groups_.end;
         group = next_due_group(group + 1, until)) {
      begin(group);
      const auto count_and_fire = [&](EventTime time, const K& key, std::uint64_t hash, Tag tag) {
        --budget;
        fn(time, key, hash, tag);
      };
      if (fire_due(group, until, budget, count_and_fire) == Progress::kMore) return Progress::kMore;
    }
    pass(until);
    return Progress::kDone;
  }
  template <class F>
  Progress fire_due(EventTime until, std::size_t budget, F&& fn) {
    return fire_due(until, budget, fn, [](KeyGroup) {});
  }
  // The first group from `from` on of which a timer before `until` may be due; the one behind the
  // last if there is none. After a restart every group may have some.
  [[nodiscard]] KeyGroup next_due_group(KeyGroup from, EventTime until) const {
    while (from < groups_.end && may_fire_[from - groups_.begin] >= until) ++from;
    return from;
  }
  // The timers of all groups before `until` have been fired: those of which `next_due_group` does
  // not speak have none.
  void pass(EventTime until) {
    now_ = std::max(now_, until);
    fired_until_.raise(until);
    if (calendar_.first_last() < until) drop_passed();
  }
  // Brings the clock of each group whose timers before `until` have all been fired to `until`.
  void note_fired(KeyGroupClocks& clocks, EventTime until) {
    if (fired_until_.min() >= until) {
      clocks.raise(until);
      return;
    }
    for (KeyGroup group = groups_.begin; group < groups_.end; ++group) {
      if (fired_until_[group] >= until) clocks[group] = until;
    }
  }

  // Calls fn(const K&, hash) for the keys of the timers that fire_due(group, until) is going to
  // fire first, at most `most`, so that what they need can be loaded together. Not all, if much is
  // to be read before.
  template <class F>
  void for_each_due(KeyGroup group, EventTime until, std::size_t most, F&& fn) {
    give_back_memory();
    Near& near = near_[group - groups_.begin];
    now_ = std::max(now_, until);
    const std::size_t enough = num_loaded_ + wanted_piece_;
    while (num_loaded_ < enough) {
      const Calendar::Bucket* next = next_to_load(near, until);
      if (next == nullptr) break;
      load_piece(group, near, *next, until);
    }
    for (const Timer& timer : near.ready(until, most)) {
      if (!near.is_erased(timer)) fn(timer.key, timer.hash);
    }
  }

  // What `fire_due` has come to: the timers of the group, or of all groups, before this instant
  // have fired, but for those that were set later.
  [[nodiscard]] EventTime fired_until(KeyGroup group) { return fired_until_[group]; }
  [[nodiscard]] EventTime fired_until() const { return fired_until_.min(); }

  // No timer is stored, not even one that has fired.
  [[nodiscard]] bool is_empty() const { return store_.namespaces().empty(); }
  // The time of the group's first timer; EventTime::max() if there is none.
  [[nodiscard]] EventTime next_due(KeyGroup group) {
    Near& near = near_[group - groups_.begin];
    if (near.is_first_known) return near.first;
    while (!near.empty() && near.is_erased(near.front())) near.take_erased(near.pop());
    EventTime first = near.empty() ? EventTime::max() : near.front().time;
    const auto look_at = [&](EventTime ns, EventTime fired) {
      store_.for_each(ns, group, [&](const TimerKey<K>& t, std::uint64_t, const TimerMark&) {
        if (t.time >= fired) first = std::min(first, t.time);
      });
    };
    if (!near.has_begun) look_at(kOverdue, EventTime::min());
    for (const Calendar::Bucket& b : calendar_.buckets()) {
      if (b.start > first) break;
      if (!Calendar::comes_before(b, near.next)) look_at(b.ns(), fired_until_[group]);
    }
    near.first = first;
    near.is_first_known = true;
    return first;
  }

 private:
  using Timer = PendingTimer<K>;
  using Near = NearTimers<K>;

  // Holds timers that were due already when they were set; they are removed one by one.
  static constexpr EventTime kOverdue = EventTime::min();
  static constexpr Calendar::Bucket kFirst = Calendar::kBeforeAll;  // stands for kOverdue
  static constexpr int kSplitLevels = 4;                            // into 16 parts
  static constexpr std::size_t kFewTimers = 512;  // in a bucket: a waste of buckets
  static constexpr std::uint32_t kGiveBackEvery = 1024;
  static constexpr std::size_t kMostReady = 4096;  // brought into their order at once
  static constexpr std::size_t kNoBudget = std::numeric_limits<std::size_t>::max();
  static constexpr int kMostPieceBits = 24;

  // No timer of a group that is set now fires before this; looks into no bucket.
  [[nodiscard]] EventTime earliest(const Near& near) const {
    const Calendar::Bucket* next = calendar_.first_from(near.next);
    const EventTime begins = next == nullptr ? EventTime::max() : next->start;
    return near.empty() ? begins : std::min(begins, near.front().time);
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
  // True if this bucket is being given up, or has begun and would keep too much: timers in memory,
  // or fired ones.
  [[nodiscard]] bool is_crowded(const Near& near, const Calendar::Bucket& bucket) const {
    if (near.is_splitting && near.is_at(bucket)) return true;
    return near.has_read(bucket) && bucket.level > Calendar::kFinest &&
           (near.size() > 2 * most_near_of_group_ || fired_since_drop_ > most_near_);
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
  void note(KeyGroup group, EventTime set) {
    near_[group - groups_.begin].note(set);
    EventTime& may_fire = may_fire_[group - groups_.begin];
    may_fire = std::min(may_fire, set);
  }
  void put(KeyGroup group, const Calendar::Bucket& bucket, Timer timer) {
    if (!store_.add(bucket.ns(), {timer.key, timer.time, timer.tag}, timer.hash)) return;
    note(group, timer.time);
    Near& near = near_[group - groups_.begin];
    if (near.has_read(bucket, timer.hash)) near.push(std::move(timer));
  }

  // A timer of the instant up to which its group has fired is still in its bucket, and the group's
  // clock does not tell that it has fired: `settle` removes such ones. Others need nothing.
  const Timer& begin_firing(EventTime& fired, Timer timer) {
    ++fired_since_drop_;
    ++operations_;
    if (timer.time < fired) {
      settle();
      store_.erase(kOverdue, {timer.key, timer.time, timer.tag}, timer.hash);
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
        // Not to be asked for: it is there, or in the bucket that contains this one.
        store_.add(b.ns(), {t.key, t.time, t.tag}, t.hash);
        store_.erase(b.ns(), {t.key, t.time, t.tag}, t.hash);
      });
    }
  }
  void end_firing() {
    is_firing_ = false;
    firing_.clear();
    num_settled_ = 0;
  }

  // The bucket that may have timers which are due before the first one in the heap, or if few are
  // there, the next one that has begun, so that many are woken together; null if none.
  const Calendar::Bucket* next_to_load(const Near& near, EventTime until) const {
    const EventTime limit =
        near.size() < wanted_piece_ ? until : std::min(until, near.front().time + Duration(1));
    if (near.has_begun && near.next.start >= limit) return nullptr;
    const Calendar::Bucket* next = near.has_begun ? calendar_.first_from(near.next) : &kFirst;
    return next != nullptr && next->start < limit ? next : nullptr;
  }

  // Takes a piece of what the group has in the bucket into memory; or, if most of it is too far
  // away, into buckets that are less wide.
  void load_piece(KeyGroup group, Near& near, const Calendar::Bucket bucket, EventTime until) {
    const std::uint64_t first = first_hash_of(group, groups_.groups);
    const std::uint64_t last = first_hash_of(group + 1, groups_.groups) - 1;
    const EventTime fired = near.has_begun ? fired_until_[group] : EventTime::min();
    if (!near.is_reading) {
      near.next = bucket;
      near.is_reading = true;
      near.next_hash = first;
    }
    // Those that were overdue are few; all of a bucket that has passed have fired.
    const bool is_over = near.has_begun && bucket.last < fired;
    const bool is_whole = !near.has_begun || is_over;
    const bool is_first = near.next_hash == first;
    const std::uint64_t width = (last - first) >> piece_bits_;
    const std::uint64_t end =
        is_whole || last - near.next_hash <= width ? last : near.next_hash + width;
    loaded_.clear();
    std::size_t num_later = 0;
    if (!is_over) {
      const EventTime ns = near.has_begun ? bucket.ns() : kOverdue;
      store_.for_each(ns, group, {near.next_hash, end},
                      [&](const TimerKey<K>& t, std::uint64_t hash, const TimerMark&) {
                        if (t.time < fired) return;
                        loaded_.push_back({t.time, t.key, t.tag, hash});
                        num_later += t.time >= until ? 1 : 0;
                      });
    }
    // Hashes are even, so the first piece speaks for all.
    if (is_first && near.has_begun && bucket.level > Calendar::kFinest)
      near.is_splitting = num_later > (most_near_of_group_ >> (end == last ? 0 : piece_bits_));
    take_loaded(group, bucket);
    if (end != last) {
      near.next_hash = end + 1;
    } else if (!near.has_begun) {
      near.has_begun = true;
      near.next = Calendar::kBeforeAll;
      near.is_reading = false;
    } else {
      if (near.is_splitting) store_.drop(bucket.ns(), group);
      near.go_on();
    }
    if (loaded_.size() > 2 * wanted_piece_ && piece_bits_ < kMostPieceBits) ++piece_bits_;
    if (loaded_.size() < wanted_piece_ / 4 && piece_bits_ > 0) --piece_bits_;
    num_loaded_ += loaded_.size();
    operations_ += static_cast<std::uint32_t>(loaded_.size());
    if (loaded_.capacity() > 4 * wanted_piece_) loaded_ = std::vector<Timer>();
  }
  void take_loaded(KeyGroup group, const Calendar::Bucket& bucket) {
    Near& near = near_[group - groups_.begin];
    if (near.is_splitting) {
      for (Timer& timer : loaded_) {
        const Calendar::Bucket* finer = calendar_.find(timer.time);
        if (finer->level >= bucket.level) finer = make_part(bucket, timer.time);
        put(group, *finer, std::move(timer));
      }
      return;
    }
    near.push(loaded_);
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
      near.shrink(kFewTimers);
      bytes += near.bytes();
      // The first one's key stands for all of them.
      if (!near.empty()) bytes += near.size() * memory_size(near.front().key);
    }
    store_.charge_besides(bytes);
    store_.give_back_memory();
  }

  const KeyGroupRange groups_;
  KeyedStore<TimerKey<K>, TimerMark> store_;
  KeyGroupClocks fired_until_;  // the group's timers before it have fired, but for overdue ones
  Calendar calendar_;
  std::vector<Near> near_;
  std::vector<EventTime> may_fire_;  // of each group: none of its timers is due before
  const std::size_t most_near_;
  const std::size_t most_near_of_group_;
  const std::size_t wanted_piece_;  // timers to be read at once
  int piece_bits_ = 4;              // a piece is a group's hashes by two to the power of this
  std::size_t num_loaded_ = 0;      // since a firing was last interrupted for it
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
};

}  // namespace tidemill
