// Adds up the records of each key before they are sent to the subtask that has the key: a hot key
// then costs its subtask a row now and then, not one a record.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "engine/base/fault.h"
#include "engine/operator/context.h"
#include "engine/operator/operator.h"
#include "operators/accumulator.h"
#include "operators/batch_keys.h"
#include "operators/graph_builder.h"
#include "operators/window.h"

namespace tidemill {

// What one subtask has of a key and slice, or one record as it came: only the subtask that has the
// key knows whether that is late.
template <class Key, class In, class A>
struct KeyedPartial {
  Key key;
  A content{};
  std::optional<In> record = std::nullopt;
};

// Adds what an operator behind takes: a record, or what was added up before it.
template <class A, class In>
requires Accumulator<A, In>
void add_record(A& a, const Record<In>& record) { add_to(a, record.value, Stamp{record.time}); }
template <class A, class Key, class In>
void add_record(A& a, const Record<KeyedPartial<Key, In, A>>& partial) {
  if (partial.value.record) {
    add_to(a, *partial.value.record, Stamp{partial.time});
  } else {
    a.merge(partial.value.content);
  }
}

// When what was added up is sent, at the latest: always before a barrier, when the input becomes
// idle or ends, at each tick (a millisecond), and when there is much of it.
enum class SendPartials : std::uint8_t {
  kEachBatch,      // windows whose rows depend on batches
  kEachWatermark,  // what gives rows at the times of its records
  kEachSlice,      // windows that wait for the end of a slice
};

inline SendPartials partials_of(const WindowOptions& options) {
  return depends_on_batches(options) ? SendPartials::kEachBatch : SendPartials::kEachSlice;
}

// Port 0: KeyedPartial, at the greatest time of its records, or at the watermark where that has
// passed it. Nothing of what is held is state.
//
// Whatever is added up is in time here, and so it is behind, whose watermark is not ahead of this
// one: with kEachSlice as long as the slice has not ended, since no window ends within it. Other
// records go on as they came, and so do all until the first watermark since the start is known, so
// that records of one slice keep their order. Where most records have keys of their own, records
// are passed on for a while.
template <class In, class A, class KeyOf>
requires Accumulator<A, In>
class PreAggregate final : public OneInput<In> {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Out = KeyedPartial<Key, In, A>;

  PreAggregate(OperatorContext& ctx, AlignedWindows windows, SendPartials send, KeyOf key_of)
      : windows_(windows),
        send_(send),
        batch_keys_(std::move(key_of)),
        out_(ctx.output<Out>(0)),
        added_up_(ctx.counter("tidemill_records_pre_aggregated_total")) {}

  void process(Batch<In>& batch) override {
    const auto refs = batch_keys_.read(batch);
    if (watermark_ == EventTime::min() || is_off()) {
      for (std::size_t i = 0; i < batch.size(); ++i) pass_on(batch[i], *refs[i].key);
      return;
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Record<In>& record = batch[i];
      if (record.time < slice_.start || record.time >= slice_.end) find_slice(record.time);
      if (is_in_time(record.time)) {
        add(record, refs[i]);
      } else {
        pass_on(record, *refs[i].key);
      }
    }
    added_up_.add(batch.size());
    records_ += batch.size();
    if (send_ == SendPartials::kEachBatch || partials_.size() >= kMostPartials) give_out();
  }

  Progress on_watermark(EventTime watermark) override {
    const bool is_held = send_ == SendPartials::kEachSlice && watermark < earliest_end_;
    if (!is_held && !TM_BROKEN("partials_behind_watermark")) give_out();
    watermark_ = std::max(watermark_, watermark);
    return Progress::kDone;
  }
  void on_idle(bool /*is_idle*/) override { give_out(); }
  Progress on_end() override {
    give_out();
    return Progress::kDone;
  }
  void before_snapshot() override { give_out(); }
  void on_tick() override { give_out(); }

 private:
  static constexpr std::size_t kMostPartials = 4096;
  static constexpr std::size_t kJudgedAfter = 4096;  // records
  static constexpr std::size_t kOffFor = 256;        // batches

  struct Place {
    Key key;
    std::uint64_t hash;
    EventTime slice_end;
    friend bool operator==(const Place& a, const Place& b) {
      return a.hash == b.hash && a.slice_end == b.slice_end && a.key == b.key;
    }
  };
  struct PlaceHash {
    using is_avalanching = void;  // hashes of keys are, and slices differ in all bits
    std::size_t operator()(const Place& place) const {
      constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15;  // 2^64 by the golden ratio
      return static_cast<std::size_t>(place.hash ^
                                      (static_cast<std::uint64_t>(place.slice_end.ms) * kOdd));
    }
  };
  struct Entry {
    A content{};
    EventTime latest = EventTime::min();
  };

  void find_slice(EventTime time) {
    slice_ = windows_.slice_of(time);
    is_in_window_ = windows_.last_window_of(slice_.end).has_value();
  }
  // Of a time in slice_.
  [[nodiscard]] bool is_in_time(EventTime time) const {
    if (send_ == SendPartials::kEachSlice) return slice_.end > watermark_ && is_in_window_;
    return time >= watermark_ && (is_in_window_ || send_ == SendPartials::kEachWatermark);
  }

  void pass_on(Record<In>& record, const Key& key) {
    out_.emit(Out{key, {}, std::move(record.value)}, record.time);
  }

  void add(const Record<In>& record, const KeyRef<Key>& ref) {
    earliest_end_ = std::min(earliest_end_, slice_.end);
    Entry& entry = partials_[Place{*ref.key, ref.hash, slice_.end}];
    add_to(entry.content, record.value, Stamp{record.time});
    entry.latest = std::max(entry.latest, record.time);
  }

  // Adding up pays if it leaves at most half of the rows.
  [[nodiscard]] bool is_off() {
    if (off_ > 0) return --off_ > 0;
    if (records_ < kJudgedAfter) return false;
    const bool pays = given_out_ + partials_.size() - held_ <= records_ / 2;
    records_ = 0;
    given_out_ = 0;
    held_ = partials_.size();
    if (pays) return false;
    give_out();
    given_out_ = 0;
    held_ = 0;
    off_ = kOffFor;
    return true;
  }

  void give_out() {
    if (partials_.empty()) return;
    given_out_ += partials_.size();
    for (auto& [place, entry] : partials_) {
      out_.emit(Out{place.key, std::move(entry.content), std::nullopt},
                std::max(entry.latest, watermark_));
    }
    partials_.clear();
    earliest_end_ = EventTime::max();
  }

  const AlignedWindows windows_;
  const SendPartials send_;
  BatchKeys<In, KeyOf> batch_keys_;
  Emitter<Out>& out_;
  Counter& added_up_;
  EventTime watermark_ = EventTime::min();  // since the start
  Window slice_{};
  bool is_in_window_ = false;                  // of the slice
  EventTime earliest_end_ = EventTime::max();  // of the slices in partials_
  // Empty at every barrier.
  boost::unordered_flat_map<Place, Entry, PlaceHash> partials_;
  // Whether it pays: of late.
  std::size_t records_ = 0;
  std::size_t given_out_ = 0;
  std::size_t held_ = 0;  // when it was judged last
  std::size_t off_ = 0;   // batches
};

// Adds the operator `make` makes of records (input 0) by key; where there are several subtasks, of
// what is added up of them (input 1). Returns its node.
template <class In, class A, class KeyOf>
NodeId add_pre_aggregated(GraphBuilder& graph, const std::vector<PortRef>& from, std::string name,
                          std::string kind, MakeOperator make, AlignedWindows windows,
                          SendPartials send, const KeyOf& key) {
  using Op = PreAggregate<In, A, KeyOf>;
  Node before;
  before.name = name + ".partials";
  before.kind = "pre-aggregate";
  before.presence = Presence::kSeveralSubtasks;
  before.make_operator = [=](OperatorContext& ctx) {
    return std::make_unique<Op>(ctx, windows, send, key);
  };
  const NodeId partials = graph.add(std::move(before));
  Node node;
  node.name = std::move(name);
  node.kind = std::move(kind);
  node.is_stateful = true;
  node.make_operator = std::move(make);
  const NodeId id = graph.add(std::move(node));
  graph.connect<In>(from, partials, 0, Presence::kSeveralSubtasks);
  graph.connect_by_key<In>(from, id, key, 0, Presence::kOneSubtask);
  graph.connect_by_key<typename Op::Out>({{partials, 0}}, id, &Op::Out::key, 1,
                                         Presence::kSeveralSubtasks);
  return id;
}

}  // namespace tidemill
