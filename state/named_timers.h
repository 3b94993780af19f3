// Timers of one clock that have names, and that can be fired for one key before the others. What
// process functions set.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <boost/describe.hpp>

#include "state/keyed_value.h"
#include "state/ordered_set.h"
#include "state/timers.h"

namespace tidemill {

struct NamedTimer {
  EventTime time;
  std::string name;

  friend bool operator==(const NamedTimer&, const NamedTimer&) = default;
  BOOST_DESCRIBE_CLASS(NamedTimer, (), (time, name), (), ())
};

// One thread: the operator's. K needs operator<.
//
// What a key has set is one value of the key, in the order of (time, name): it decides what fires.
// A change of it costs the logarithm of how many there are; read and written it is as a whole.
// Timers<K> only knows when to look at which key; a look that finds nothing is skipped.
template <class K>
class NamedTimers {
 public:
  NamedTimers(OperatorContext& ctx, const std::string& name)
      : pending_(ctx, name), wakes_(ctx, name + ".wakes") {}

  // Setting the same (time, name) again changes nothing. One before `fired_by_caller` is not waited
  // for: whoever sets it calls `fire_key` before the step ends. False if it was set. `place`, here
  // and below: as KeyedValue's.
  bool set(EventTime time, std::string_view name, const K& key, std::uint64_t hash,
           EventTime fired_by_caller, PlaceAhead place = kNoPlace) {
    Pending& pending = pending_.at(key, hash, place);
    if (is_set(pending, time, name)) return false;
    const bool has_wake = has_time(pending, time);
    pending.insert(NamedTimer{time, std::string(name)});
    if (time >= fired_by_caller && !has_wake) wakes_.set(time, key, hash);
    return true;
  }

  // Nothing happens if there is none.
  void erase(EventTime time, std::string_view name, const K& key, std::uint64_t hash,
             EventTime fired_by_caller, PlaceAhead place = kNoPlace) {
    const Pending* found = pending_.find(key, hash, place);
    if (found == nullptr || !is_set(*found, time, name)) return;
    Pending& pending = *pending_.find_for_update(key, hash, place);
    pending.erase(At{time, name});
    if (time >= fired_by_caller && !has_time(pending, time)) wakes_.erase(time, key, hash);
    if (pending.empty() && &pending != firing_) pending_.erase(key, hash, place);
  }

  // Fires what the key has set for a time before `until`, also what the callbacks set meanwhile:
  // fn(const NamedTimer&), in the order of (time, name). A timer is gone before its callback runs.
  // fn sets and erases timers of this key only.
  template <class F>
  void fire_key(const K& key, std::uint64_t hash, EventTime until, F&& fn,
                PlaceAhead place = kNoPlace) {
    const Pending* due = pending_.find(key, hash, place);
    if (due == nullptr || (!due->empty() && due->front().time >= until)) return;
    Pending& pending = *pending_.find_for_update(key, hash, place);
    firing_ = &pending;
    while (!pending.empty() && pending.front().time < until) {
      const NamedTimer timer = pending.pop_front();
      fn(timer);
    }
    firing_ = nullptr;
    if (pending.empty()) pending_.erase(key, hash, place);
  }

  // Fires the timers with time < until, group by group and in the order of their times, for about
  // `budget` of them: fn(const K&, hash, EventTime) is to call fire_key(key, hash, time + 1 ms).
  // begin(group): as of Timers::fire_due.
  template <class F, class Begin>
  Progress fire_due(EventTime until, std::size_t budget, F&& fn, Begin&& begin) {
    return wakes_.fire_due(
        until, budget,
        [&](EventTime time, const K& key, std::uint64_t hash, typename Timers<K>::Tag) {
          fn(key, hash, time);
        },
        begin);
  }

  // All timers of the group, or of all groups, before this instant have fired.
  [[nodiscard]] EventTime fired_until(KeyGroup group) { return wakes_.fired_until(group); }
  [[nodiscard]] EventTime fired_until() const { return wakes_.fired_until(); }

  // Nothing is to be waited for.
  [[nodiscard]] bool is_empty() const { return wakes_.is_empty(); }

  // As Timers::next_due_group, Timers::for_each_due.
  [[nodiscard]] KeyGroup next_due_group(KeyGroup from, EventTime until) const {
    return wakes_.next_due_group(from, until);
  }
  template <class F>
  void for_each_due(KeyGroup group, EventTime until, std::size_t most, F&& fn) {
    wakes_.for_each_due(group, until, most, fn);
  }
  void prefetch(std::span<const KeyRef<K>> keys) { pending_.prefetch(keys); }

 private:
  struct At {
    EventTime time;
    std::string_view name;
  };
  struct Before {
    using is_transparent = void;
    static auto place(const NamedTimer& t) { return std::pair(t.time, std::string_view(t.name)); }
    static auto place(const At& t) { return std::pair(t.time, t.name); }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return place(a) < place(b);
    }
  };
  using Pending = OrderedSet<NamedTimer, Before>;

  static bool is_set(const Pending& pending, EventTime time, std::string_view name) {
    const NamedTimer* at = pending.first_from(At{time, name});
    return at != nullptr && at->time == time && at->name == name;
  }
  // Under any name.
  static bool has_time(const Pending& pending, EventTime time) {
    const NamedTimer* at = pending.first_from(At{time, {}});
    return at != nullptr && at->time == time;
  }

  KeyedValue<K, Pending> pending_;
  const Pending* firing_ = nullptr;  // stays where it is until it has been fired
  Timers<K> wakes_;
};

}  // namespace tidemill
