// What a timer is stored under (timers.h): the key it wakes, its time and its tag. All timers of a
// key share the key's hash, so they lie in its group.
#pragma once

#include <cstdint>
#include <optional>

#include <boost/describe.hpp>

#include "engine/base/time.h"
#include "state/codec.h"
#include "state/key_encoding.h"
#include "state/stored_key.h"

namespace tidemill {

template <class K>
struct TimerKey {
  K key;
  EventTime time;
  std::uint64_t tag = 0;
};

template <class K>
struct TimerView {
  TimerView(KeyView<K> k, EventTime at, std::uint64_t t) : key(k), time(at), tag(t) {}
  TimerView(const TimerKey<K>& timer)  // NOLINT(google-explicit-constructor): as a string_view is
      : key(timer.key), time(timer.time), tag(timer.tag) {}

  KeyView<K> key;
  EventTime time;
  std::uint64_t tag;

  friend bool operator==(const TimerView& a, const TimerView& b) {
    return a.time == b.time && a.tag == b.tag && a.key == b.key;
  }
};

// There is no more to a timer than that it is set.
struct TimerMark {};
BOOST_DESCRIBE_STRUCT(TimerMark, (), ())

template <class K>
struct KeyTraits<TimerKey<K>> {
  using View = TimerView<K>;
  struct Stored {
    explicit Stored(const View& view) : key(view.key), time(view.time), tag(view.tag) {}
    typename KeyTraits<K>::Stored key;
    EventTime time;
    std::uint64_t tag;
  };
  static View view(const Stored& stored) {
    return {KeyTraits<K>::view(stored.key), stored.time, stored.tag};
  }
  static std::size_t heap_size(const Stored& stored) { return KeyTraits<K>::heap_size(stored.key); }
  static constexpr bool kMayHaveHeap = KeyTraits<K>::kMayHaveHeap;
  struct Scratch {
    typename KeyTraits<K>::Scratch inner;
    std::optional<TimerKey<K>> key;
  };
  static const TimerKey<K>& lend(const Stored& stored, Scratch& scratch) {
    return scratch.key.emplace(
        TimerKey<K>{KeyTraits<K>::lend(stored.key, scratch.inner), stored.time, stored.tag});
  }
};

template <class K>
struct KeyHash<TimerView<K>> {
  static std::uint64_t of(const TimerView<K>& timer) { return key_hash(timer.key); }
};

template <class K>
struct Codec<TimerKey<K>> {
  static void encode(Bytes& out, const TimerView<K>& timer) {
    Codec<K>::encode(out, timer.key);
    Codec<EventTime>::encode(out, timer.time);
    append_varint(out, timer.tag);
  }
  static TimerKey<K> decode(ByteReader& in) {
    TimerKey<K> timer{Codec<K>::decode(in), {}, 0};
    timer.time = Codec<EventTime>::decode(in);
    timer.tag = in.varint();
    return timer;
  }
  static StoredType stored_type() {
    return stored::of(StoredType::Kind::kTuple, tidemill::stored_type<K>(),
                      tidemill::stored_type<EventTime>(), tidemill::stored_type<std::uint64_t>());
  }
};

}  // namespace tidemill
