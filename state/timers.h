// Event-time timers per key, as state: in every checkpoint, moved with their key group,
// deduplicated by (time, key, tag).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "engine/operator/snapshot.h"
#include "state/backend.h"
#include "state/codec.h"
#include "state/key_encoding.h"

namespace tidemill {

// One thread: the operator's. K needs operator<, which orders the timers of one instant.
template <class K>
class Timers final : public Snapshotable {
 public:
  using Tag = std::uint64_t;

  Timers(OperatorContext& ctx, const std::string& name)
      : backend_(ctx.resources().get<Backend>()),
        id_(backend_.state_id({ctx.name(), name}, "timers")),
        groups_(ctx.key_groups()) {
    load();
    ctx.attach(*this);
  }
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // Setting the same (time, key, tag) again changes nothing.
  void set(EventTime time, const K& key, std::uint64_t hash, Tag tag = 0) {
    if (timers_[key_group_of(hash, groups_.groups)].insert({time, key, tag, hash}).second)
      changes_[stored_key(time, key, hash, tag)] = true;
  }
  // Nothing happens if there is none.
  void erase(EventTime time, const K& key, std::uint64_t hash, Tag tag = 0) {
    if (timers_[key_group_of(hash, groups_.groups)].erase({time, key, tag, hash}) != 0)
      changes_[stored_key(time, key, hash, tag)] = false;
  }

  // Fires the timers of `group` with time < until, in the order (time, key, tag), at most `budget`
  // of them: fn(EventTime, const K&, hash, Tag). A fired timer is gone before its callback runs; a
  // callback may set timers, also ones that are due already, and erase them. kMore: the budget is
  // used up and more are due.
  template <class F>
  Progress fire_due(KeyGroup group, EventTime until, std::size_t budget, F&& fn) {
    auto& due = timers_[group];
    for (std::size_t fired = 0; !due.empty() && due.begin()->time < until; ++fired) {
      if (fired == budget) return Progress::kMore;
      const Timer timer = std::move(due.extract(due.begin()).value());
      changes_[stored_key(timer.time, timer.key, timer.hash, timer.tag)] = false;
      fn(timer.time, timer.key, timer.hash, timer.tag);
    }
    return Progress::kDone;
  }

  // The time of the group's first timer; EventTime::max() if there is none.
  [[nodiscard]] EventTime next_due(KeyGroup group) {
    const auto& due = timers_[group];
    return due.empty() ? EventTime::max() : due.begin()->time;
  }

  void freeze(CheckpointId id) override {
    frozen_id_ = id;
    for (const auto& [key, is_set] : changes_) {
      if (is_set) {
        frozen_.put(key, {});
      } else {
        frozen_.erase(key);
      }
    }
    changes_.clear();
  }
  bool drain(StageSnapshot&, std::size_t) override {
    if (!frozen_.empty()) backend_.stage(frozen_id_, std::exchange(frozen_, SortedRun{}));
    return true;
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
  };

  // [state][time][hash][tag][key] -> nothing.
  [[nodiscard]] Bytes stored_key(EventTime time, const K& key, std::uint64_t hash, Tag tag) const {
    Bytes bytes = key_prefix(id_, time);
    append_u64(bytes, hash);
    append_u64(bytes, tag);
    Codec<K>::encode(bytes, key);
    return bytes;
  }

  void load() {
    const Bytes all = key_prefix(id_);
    backend_.scan({all, prefix_end(all)}, [&](ByteView key, ByteView) {
      ByteReader in(key.substr(all.size()));
      const EventTime time{unordered(in.u64())};
      const std::uint64_t hash = in.u64();
      const Tag tag = in.u64();
      const KeyGroup group = key_group_of(hash, groups_.groups);
      if (groups_.contains(group)) timers_[group].insert({time, Codec<K>::decode(in), tag, hash});
      return true;
    });
  }

  Backend& backend_;
  const StateId id_;
  const KeyGroupRange groups_;
  std::map<KeyGroup, std::set<Timer>> timers_;
  std::map<Bytes, bool> changes_;
  SortedRun frozen_;
  CheckpointId frozen_id_ = 0;
};

}  // namespace tidemill
