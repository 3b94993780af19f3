// Small state that belongs to a subtask rather than to a key. It travels in the manifest.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/operator/context.h"
#include "engine/operator/snapshot.h"
#include "state/codec.h"
#include "state/type_change.h"

namespace tidemill {

// One value per subtask; T{} at first. After a restore nobody's value is chosen for you: `restored`
// has those of all former subtasks (as many as there were), each subtask sees all of them and picks
// or merges. One thread.
template <class T>
class OperatorState final : public Snapshotable {
 public:
  // Throws Error(kConfig) if the checkpoint has it with a type that cannot become T
  // (type_change.h).
  OperatorState(OperatorContext& ctx, std::string name) : name_(std::move(name)) {
    const StoredType type = stored_type<T>();
    type_ = encode(type);
    for (const StatePart* part : ctx.restored_parts(name_))
      restored_.push_back(decode<T>(converted_part(*part, type, ctx.name() + "/" + name_)));
    ctx.attach(*this);
  }
  OperatorState(const OperatorState&) = delete;
  OperatorState& operator=(const OperatorState&) = delete;

  T& operator*() { return value_; }
  T* operator->() { return &value_; }
  const T& operator*() const { return value_; }
  const T* operator->() const { return &value_; }
  [[nodiscard]] const std::vector<T>& restored() const { return restored_; }

  void freeze(CheckpointId) override {
    frozen_.clear();
    Codec<T>::encode(frozen_, value_);
  }
  bool drain(StageSnapshot& out, std::size_t) override {
    out.parts.push_back({name_, std::move(frozen_), type_});
    frozen_.clear();
    return true;
  }

 private:
  const std::string name_;
  Bytes type_;
  T value_{};
  std::vector<T> restored_;
  Bytes frozen_;
};

// A list per subtask, of things that belong to no key: offsets of files, buffered requests. After a
// restore each element is in one subtask, evenly over all, whatever the parallelism was; for every
// element in every subtask use OperatorState and its `restored`. One thread.
template <class T>
class OperatorList final : public Snapshotable {
 public:
  OperatorList(OperatorContext& ctx, std::string name) : name_(std::move(name)) {
    std::size_t number = 0;
    const StoredType type = stored_type<std::vector<T>>();
    type_ = encode(type);
    for (const StatePart* part : ctx.restored_parts(name_)) {
      for (T& element :
           decode<std::vector<T>>(converted_part(*part, type, ctx.name() + "/" + name_))) {
        if (static_cast<int>(number++ % static_cast<std::size_t>(ctx.parallelism())) ==
            ctx.subtask())
          elements_.push_back(std::move(element));
      }
    }
    ctx.attach(*this);
  }
  OperatorList(const OperatorList&) = delete;
  OperatorList& operator=(const OperatorList&) = delete;

  std::vector<T>& operator*() { return elements_; }
  std::vector<T>* operator->() { return &elements_; }

  void freeze(CheckpointId) override {
    frozen_.clear();
    Codec<std::vector<T>>::encode(frozen_, elements_);
  }
  bool drain(StageSnapshot& out, std::size_t) override {
    out.parts.push_back({name_, std::exchange(frozen_, {}), type_});
    return true;
  }

 private:
  const std::string name_;
  Bytes type_;
  std::vector<T> elements_;
  Bytes frozen_;
};

// An EventTime for each key group of this subtask; it moves with the group when the parallelism
// changes. One thread.
class KeyGroupClocks final : public Snapshotable {
 public:
  KeyGroupClocks(OperatorContext& ctx, std::string name, EventTime initial = EventTime::min())
      : name_(std::move(name)), groups_(ctx.key_groups()), times_(groups_.size(), initial) {
    for (const ByteView bytes : ctx.restored(name_)) load(bytes);
    ctx.attach(*this);
  }
  KeyGroupClocks(const KeyGroupClocks&) = delete;
  KeyGroupClocks& operator=(const KeyGroupClocks&) = delete;

  // Requires: the group is one of this subtask's.
  EventTime& operator[](KeyGroup group) {
    TM_CHECK(groups_.contains(group));
    EventTime& time = times_[group - groups_.begin];
    time = std::max(time, least_);
    return time;
  }
  // No clock is before this from now on.
  void raise(EventTime least) { least_ = std::max(least_, least); }
  // The earliest of all; EventTime::max() for a subtask without groups.
  [[nodiscard]] EventTime min() const {
    return times_.empty() ? EventTime::max() : std::max(least_, *std::ranges::min_element(times_));
  }

  void freeze(CheckpointId) override {
    frozen_ = times_;
    for (EventTime& time : frozen_) time = std::max(time, least_);
  }
  // [first group][(number of groups, their time)...]: one pair when all clocks agree.
  bool drain(StageSnapshot& out, std::size_t) override {
    Bytes bytes;
    append_varint(bytes, groups_.begin);
    for (std::size_t i = 0; i < frozen_.size();) {
      std::size_t same = i + 1;
      while (same < frozen_.size() && frozen_[same] == frozen_[i]) ++same;
      append_varint(bytes, same - i);
      Codec<EventTime>::encode(bytes, frozen_[i]);
      i = same;
    }
    out.parts.push_back({name_, std::move(bytes)});
    return true;
  }

 private:
  void load(ByteView bytes) {
    ByteReader in(bytes);
    std::uint64_t group = in.varint();
    while (!in.empty()) {
      const std::uint64_t end = group + in.varint();
      const EventTime time = Codec<EventTime>::decode(in);
      if (end > groups_.groups)
        throw Error(ErrorCode::kCorrupt,
                    "checkpoint part names key groups that do not exist: " + name_);
      for (; group < end; ++group) {
        if (groups_.contains(static_cast<KeyGroup>(group))) times_[group - groups_.begin] = time;
      }
    }
  }

  const std::string name_;
  const KeyGroupRange groups_;
  std::vector<EventTime> times_;
  EventTime least_ = EventTime::min();  // clocks before it have come to it
  std::vector<EventTime> frozen_;
};

}  // namespace tidemill
