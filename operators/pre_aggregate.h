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

// Port 0: KeyedPartial, at the greatest time of its records. Given out at the end of each batch
// (`at_once`: for windows whose rows depend on batches), else when the watermark moves, before a
// barrier, at each tick (a millisecond), or when there are many; so nothing of it is state.
//
// Whatever is added up is in time here, and so it is behind, whose watermark is not ahead of this
// one: records behind this one's go on as they came, and so do all until the first watermark since
// the start is known. Where most records have keys of their own, records are passed on for a while.
template <class In, class A, class KeyOf>
requires Accumulator<A, In>
class PreAggregate final : public OneInput<In> {
 public:
  using Key = typename BatchKeys<In, KeyOf>::Key;
  using Out = KeyedPartial<Key, In, A>;

  PreAggregate(OperatorContext& ctx, AlignedWindows windows, bool at_once, KeyOf key_of)
      : windows_(windows),
        at_once_(at_once),
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
      if (record.time < watermark_) {
        pass_on(record, *refs[i].key);
      } else {
        add(record, refs[i]);
      }
    }
    added_up_.add(batch.size());
    records_ += batch.size();
    if (at_once_ || partials_.size() >= kMostPartials) give_out();
  }

  Progress on_watermark(EventTime watermark) override {
    give_out();
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
    std::size_t operator()(const Place& place) const {
      return static_cast<std::size_t>(place.hash ^ static_cast<std::uint64_t>(place.slice_end.ms));
    }
  };
  struct Entry {
    A content{};
    EventTime latest = EventTime::min();
  };

  void pass_on(Record<In>& record, const Key& key) {
    out_.emit(Out{key, {}, std::move(record.value)}, record.time);
  }

  void add(const Record<In>& record, const KeyRef<Key>& ref) {
    if (record.time < slice_.start || record.time >= slice_.end)
      slice_ = windows_.slice_of(record.time);
    Entry& entry = partials_[Place{*ref.key, ref.hash, slice_.end}];
    add_to(entry.content, record.value, Stamp{record.time});
    entry.latest = std::max(entry.latest, record.time);
  }

  // Adding up pays if it leaves at most half of the rows.
  [[nodiscard]] bool is_off() {
    if (off_ > 0) return --off_ > 0;
    if (records_ < kJudgedAfter) return false;
    const bool pays = given_out_ + partials_.size() <= records_ / 2;
    records_ = 0;
    given_out_ = 0;
    if (pays) return false;
    give_out();
    off_ = kOffFor;
    return true;
  }

  void give_out() {
    if (partials_.empty()) return;
    given_out_ += partials_.size();
    for (auto& [place, entry] : partials_)
      out_.emit(Out{place.key, std::move(entry.content), std::nullopt}, entry.latest);
    partials_.clear();
  }

  const AlignedWindows windows_;
  const bool at_once_;
  BatchKeys<In, KeyOf> batch_keys_;
  Emitter<Out>& out_;
  Counter& added_up_;
  EventTime watermark_ = EventTime::min();  // since the start
  Window slice_{};
  // Empty at every barrier.
  boost::unordered_flat_map<Place, Entry, PlaceHash> partials_;
  // Whether it pays: of late.
  std::size_t records_ = 0;
  std::size_t given_out_ = 0;
  std::size_t off_ = 0;  // batches
};

// Adds the operator `make` makes of records (input 0) by key; where there are several subtasks, of
// what is added up of them (input 1). Returns its node.
template <class In, class A, class KeyOf>
NodeId add_pre_aggregated(GraphBuilder& graph, const std::vector<PortRef>& from, std::string name,
                          std::string kind, MakeOperator make, AlignedWindows windows, bool at_once,
                          const KeyOf& key) {
  using Op = PreAggregate<In, A, KeyOf>;
  Node before;
  before.name = name + ".partials";
  before.kind = "pre-aggregate";
  before.presence = Presence::kSeveralSubtasks;
  before.make_operator = [=](OperatorContext& ctx) {
    return std::make_unique<Op>(ctx, windows, at_once, key);
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
