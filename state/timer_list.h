// The timers of one key in one bucket of time (timers.h): mostly one.
#pragma once

#include <algorithm>
#include <cstdint>

#include <boost/container/small_vector.hpp>

#include "engine/base/time.h"
#include "state/codec.h"
#include "state/memory_size.h"

namespace tidemill {

class TimerList {
 public:
  struct Item {
    EventTime time;
    std::uint64_t tag = 0;
    friend bool operator==(const Item&, const Item&) = default;
  };

  [[nodiscard]] bool contains(const Item& item) const {
    return std::ranges::find(items_, item) != items_.end();
  }
  // False if it is there already.
  bool add(const Item& item) {
    if (contains(item)) return false;
    items_.push_back(item);
    return true;
  }
  // Requires: it is there.
  void remove(const Item& item) { items_.erase(std::ranges::find(items_, item)); }
  void remove_before(EventTime time) {
    const auto gone = [time](const Item& item) { return item.time < time; };
    items_.erase(std::remove_if(items_.begin(), items_.end(), gone), items_.end());
  }

  [[nodiscard]] auto begin() const { return items_.begin(); }
  [[nodiscard]] auto end() const { return items_.end(); }
  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] std::size_t heap_size() const {
    return items_.capacity() <= 1 ? 0
                                  : items_.capacity() * sizeof(Item) + codec::kAllocationOverhead;
  }

 private:
  boost::container::small_vector<Item, 1> items_;
};

template <>
struct Codec<TimerList> {
  static void encode(Bytes& out, const TimerList& list) {
    append_varint(out, list.size());
    for (const TimerList::Item& item : list) {
      Codec<EventTime>::encode(out, item.time);
      append_varint(out, item.tag);
    }
  }
  static TimerList decode(ByteReader& in) {
    TimerList list;
    for (std::size_t n = codec::read_count(in); n > 0; --n) {
      const EventTime time = Codec<EventTime>::decode(in);
      list.add({time, in.varint()});
    }
    return list;
  }
};

template <>
struct HeapSize<TimerList> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const TimerList& list) { return list.heap_size(); }
};

}  // namespace tidemill
