// What the main job keeps of a user: the names of the actions once, numbers in slices and windows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include <boost/container/small_vector.hpp>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/base/time.h"
#include "operators/accumulator.h"
#include "operators/exact_sum.h"
#include "operators/text_numbers.h"
#include "operators/trailing_parts.h"
#include "state/codec.h"
#include "state/memory_size.h"

namespace tidemill::features {

// How often each action occurs, by its number: sorted, none with a count of 0. The count of one
// action is the sum over its entries, of which there are more than one beyond 2^32.
struct ActionCount {
  std::uint32_t action;
  std::uint32_t count;
};
using ActionCounts = boost::container::small_vector<ActionCount, 3>;

// The parts of trailing_parts.h.
struct UserTotals {
  struct One {
    double value = 0;
    std::uint32_t action = 0;

    void mark(NumbersInUse& in_use) const { in_use[action] = true; }
    void renumber(const NewNumbers& numbers) { action = numbers[action]; }
  };

  struct Slice {
    ExactSum sum;
    ActionCounts actions;

    void add(const One& one) {
      sum.add(one.value);
      count(one.action, 1);
    }
    void merge(const Slice& other) {
      sum.merge(other.sum);
      for (const ActionCount& a : other.actions) count(a.action, a.count);
    }
    void mark(NumbersInUse& in_use) const {
      for (const ActionCount& a : actions) in_use[a.action] = true;
    }
    // New numbers are in the order of the old ones.
    void renumber(const NewNumbers& numbers) {
      for (ActionCount& a : actions) a.action = numbers[a.action];
    }

   private:
    void count(std::uint32_t action, std::uint32_t times) {
      auto at = actions.begin();
      if (actions.size() <= kFew) {
        while (at != actions.end() && at->action < action) ++at;
      } else {
        at = std::lower_bound(at, actions.end(), action,
                              [](const ActionCount& a, std::uint32_t n) { return a.action < n; });
      }
      for (; at != actions.end() && at->action == action; ++at) {
        const std::uint32_t room = std::numeric_limits<std::uint32_t>::max() - at->count;
        const std::uint32_t taken = std::min(times, room);
        at->count += taken;
        times -= taken;
        if (times == 0) return;
      }
      actions.insert(at, {action, times});
    }
    static constexpr std::size_t kFew = 16;
  };

  struct Total {
    ExactSum sum;
    std::int64_t num_events = 0;
    std::int64_t num_actions = 0;                            // that occur
    boost::container::small_vector<std::uint64_t, 8> times;  // each action occurs, by its number

    void add(const One& one) {
      sum.add(one.value);
      count(one.action, 1);
    }
    void merge(const Slice& other) {
      sum.merge(other.sum);
      for (const ActionCount& a : other.actions) count(a.action, a.count);
    }
    void subtract(const Slice& other) {
      sum.subtract(other.sum);
      for (const ActionCount& a : other.actions) {
        num_events -= a.count;
        if ((times[a.action] -= a.count) == 0) --num_actions;
      }
    }
    void renumber(const NewNumbers& numbers) {
      decltype(times) moved;
      for (std::size_t i = 0; i < times.size(); ++i) {
        if (times[i] == 0) continue;
        moved.resize(numbers[i] + 1);
        moved[numbers[i]] = times[i];
      }
      times = std::move(moved);
    }
    [[nodiscard]] std::optional<double> mean() const {
      if (num_events == 0) return std::nullopt;
      return sum.value() / static_cast<double>(num_events);
    }

   private:
    void count(std::uint32_t action, std::uint32_t n) {
      if (action >= times.size()) [[unlikely]]
        times.resize(action + 1);
      if (times[action] == 0) ++num_actions;
      times[action] += n;
      num_events += n;
    }
  };

  // The latest event of all that count is that of every window which counts any: it lies in the
  // last slice, and so do they.
  struct Shared {
    TextNumbers actions;
    Stamp last_stamp{EventTime::min()};  // if there is one
    std::uint32_t last_action = 0;
    bool has_last = false;

    template <class Event>
    One take(const Event& e) {
      return {e.value, actions.number_of(e.action)};
    }
    void note(const One& one, const Stamp& stamp) {
      if (has_last && stamp < last_stamp) return;
      last_stamp = stamp;
      last_action = one.action;
      has_last = true;
    }
    void forget() {
      has_last = false;
      last_stamp = {EventTime::min()};
      last_action = 0;
    }

    // Numbers that are not in use any more are given back when they may be many.
    [[nodiscard]] bool wants_sweep() const { return actions.size() >= sweep_at; }
    [[nodiscard]] NumbersInUse in_use() const {
      NumbersInUse all(actions.size(), false);
      if (has_last) all[last_action] = true;
      return all;
    }
    NewNumbers keep(const NumbersInUse& in_use) {
      NewNumbers numbers = actions.keep(in_use);
      if (has_last) last_action = numbers[last_action];
      sweep_at = 2 * actions.size() + TextNumbers::kFew;
      return numbers;
    }
    // Throw Error(kCorrupt) for numbers that were not given.
    void check(const Slice& slice) const {
      if (!slice.actions.empty()) check(slice.actions.back().action);
    }
    void check(const One& one) const { check(one.action); }
    void check(std::uint32_t action) const {
      if (action >= actions.size())
        throw Error(ErrorCode::kCorrupt, "stored user has an action without a name");
    }

    std::size_t sweep_at = TextNumbers::kFew;
  };
};

// Numbers and counts of 32 bits.
inline std::uint32_t read_number(ByteReader& in) {
  const std::uint64_t number = in.varint();
  if (number > std::numeric_limits<std::uint32_t>::max())
    throw Error(ErrorCode::kCorrupt, "stored number is beyond 32 bits: " + std::to_string(number));
  return static_cast<std::uint32_t>(number);
}

}  // namespace tidemill::features

namespace tidemill {

template <>
struct Codec<features::UserTotals::One> {
  static void encode(Bytes& out, const features::UserTotals::One& one) {
    Codec<double>::encode(out, one.value);
    append_varint(out, one.action);
  }
  static features::UserTotals::One decode(ByteReader& in) {
    const double value = Codec<double>::decode(in);
    return {value, features::read_number(in)};
  }
  static StoredType layout() {
    return stored::record({{"value", tidemill::stored_type<double>()},
                           {"action", tidemill::stored_type<std::uint32_t>()}});
  }
};

// [sum][varint number of entries], each [varint action, as the distance from the one before][varint
// count].
template <>
struct Codec<features::UserTotals::Slice> {
  static void encode(Bytes& out, const features::UserTotals::Slice& slice) {
    slice.sum.encode(out);
    append_varint(out, slice.actions.size());
    std::uint32_t previous = 0;
    for (const features::ActionCount& a : slice.actions) {
      append_varint(out, a.action - previous);
      append_varint(out, a.count);
      previous = a.action;
    }
  }
  static features::UserTotals::Slice decode(ByteReader& in) {
    features::UserTotals::Slice slice;
    slice.sum = ExactSum::decode(in);
    const std::size_t entries = codec::read_count(in);
    slice.actions.reserve(entries);
    std::uint32_t action = 0;
    for (std::size_t i = 0; i < entries; ++i) {
      const std::uint32_t distance = features::read_number(in);
      const std::uint32_t count = features::read_number(in);
      if (distance > std::numeric_limits<std::uint32_t>::max() - action || count == 0)
        throw Error(ErrorCode::kCorrupt, "stored counts of actions are malformed");
      action += distance;
      slice.actions.push_back({action, count});
    }
    return slice;
  }
  static StoredType layout() {
    const StoredType number = tidemill::stored_type<std::uint32_t>();
    return stored::record({{"sum", tidemill::stored_type<ExactSum>()},
                           {"actions", stored::of(StoredType::Kind::kVector,
                                                  stored::record({{"steps_from_last", number},
                                                                  {"count", number}}))}});
  }
};

// [names of actions][0, or 1 and the latest event: time, partition, offset, action].
template <>
struct Codec<features::UserTotals::Shared> {
  static void encode(Bytes& out, const features::UserTotals::Shared& shared) {
    shared.actions.encode(out);
    append_u8(out, shared.has_last ? 1 : 0);
    if (!shared.has_last) return;
    append_varint(out, zigzag(shared.last_stamp.time.ms));
    append_varint(out, zigzag(shared.last_stamp.order.partition));
    append_varint(out, zigzag(shared.last_stamp.order.offset));
    append_varint(out, shared.last_action);
  }
  static features::UserTotals::Shared decode(ByteReader& in) {
    features::UserTotals::Shared shared;
    shared.actions = TextNumbers::decode(in);
    shared.sweep_at = 2 * shared.actions.size() + TextNumbers::kFew;
    shared.has_last = in.u8() != 0;
    if (!shared.has_last) return shared;
    shared.last_stamp.time = {unzigzag(in.varint())};
    shared.last_stamp.order.partition = static_cast<std::int32_t>(unzigzag(in.varint()));
    shared.last_stamp.order.offset = unzigzag(in.varint());
    shared.last_action = features::read_number(in);
    shared.check(shared.last_action);
    return shared;
  }
  static StoredType layout() {
    return stored::record(
        {{"actions", tidemill::stored_type<TextNumbers>()},
         {"last",
          stored::of(StoredType::Kind::kOptional,
                     stored::record({{"time", tidemill::stored_type<EventTime>()},
                                     {"partition", tidemill::stored_type<std::int32_t>()},
                                     {"offset", tidemill::stored_type<std::int64_t>()},
                                     {"action", tidemill::stored_type<std::uint32_t>()}}))}});
  }
};

template <>
struct HeapSize<features::UserTotals::Shared> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const features::UserTotals::Shared& shared) {
    return memory_size(shared.actions);
  }
};

template <>
struct HeapSize<features::UserTotals::Slice> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const features::UserTotals::Slice& slice) {
    const std::size_t entries = slice.actions.capacity();
    return slice.sum.heap_bytes() +
           (entries <= features::ActionCounts::static_capacity
                ? 0
                : entries * sizeof(features::ActionCount) + codec::kAllocationOverhead);
  }
};

template <>
struct HeapSize<features::UserTotals::Total> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const features::UserTotals::Total& total) {
    const std::size_t numbers = total.times.capacity();
    return total.sum.heap_bytes() +
           (numbers <= decltype(total.times)::static_capacity
                ? 0
                : numbers * sizeof(std::uint64_t) + codec::kAllocationOverhead);
  }
};

}  // namespace tidemill
