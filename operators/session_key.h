// What a session window keeps of one key: its sessions in the order of time, and when it is to be
// woken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <boost/container/small_vector.hpp>

#include "engine/base/bytes.h"
#include "engine/base/time.h"
#include "operators/window.h"
#include "state/codec.h"
#include "state/memory_size.h"

namespace tidemill {

template <class A>
struct SessionContent {
  Window window{};
  EventTime early_at = EventTime::max();  // when the next early row is due
  bool has_changed = false;               // since its last row
  bool is_closed = false;                 // its end was passed, and it has had its row for that
  bool has_row = false;                   // one has been given out for this window
  A content{};
};

// A value. The sessions neither overlap nor touch; mostly there is one.
template <class A>
struct KeySessions {
  using Sessions = boost::container::small_vector<SessionContent<A>, 1>;

  Sessions sessions;
  EventTime timer = EventTime::max();  // the first one that is set for the key

  // Those that overlap or touch `window`, as [first, last).
  std::pair<SessionContent<A>*, SessionContent<A>*> touching(const Window& window) {
    SessionContent<A>* last = sessions.data() + sessions.size();
    while (last != sessions.data() && (last - 1)->window.start > window.end) --last;
    SessionContent<A>* first = last;
    while (first != sessions.data() && (first - 1)->window.end >= window.start) --first;
    return {first, last};
  }
};

// [timer][number of sessions][start, end, 0 or 1 and early_at, flags, content]...; times zigzag.
template <class A>
struct Codec<KeySessions<A>> {
  static constexpr std::uint8_t kHasChanged = 1;
  static constexpr std::uint8_t kIsClosed = 2;
  static constexpr std::uint8_t kHasRow = 4;

  static void encode(Bytes& out, const KeySessions<A>& value) {
    append_varint(out, zigzag(value.timer.ms));
    append_varint(out, value.sessions.size());
    for (const SessionContent<A>& s : value.sessions) {
      append_varint(out, zigzag(s.window.start.ms));
      append_varint(out, zigzag(s.window.end.ms));
      Codec<std::optional<EventTime>>::encode(
          out, s.early_at == EventTime::max() ? std::nullopt : std::optional(s.early_at));
      append_u8(out, static_cast<std::uint8_t>((s.has_changed ? kHasChanged : 0) |
                                               (s.is_closed ? kIsClosed : 0) |
                                               (s.has_row ? kHasRow : 0)));
      Codec<A>::encode(out, s.content);
    }
  }

  static KeySessions<A> decode(ByteReader& in) {
    KeySessions<A> value;
    value.timer = {unzigzag(in.varint())};
    for (std::size_t left = codec::read_count(in); left > 0; --left) {
      SessionContent<A> s;
      s.window.start = {unzigzag(in.varint())};
      s.window.end = {unzigzag(in.varint())};
      s.early_at = Codec<std::optional<EventTime>>::decode(in).value_or(EventTime::max());
      const std::uint8_t flags = in.u8();
      s.has_changed = (flags & kHasChanged) != 0;
      s.is_closed = (flags & kIsClosed) != 0;
      s.has_row = (flags & kHasRow) != 0;
      s.content = Codec<A>::decode(in);
      value.sessions.push_back(std::move(s));
    }
    return value;
  }

  static StoredType stored_type() {
    using enum StoredType::Kind;
    using tidemill::stored_type;
    return stored::of(
        kTuple, stored_type<EventTime>(),
        stored::of(kVector, stored::of(kTuple, stored_type<EventTime>(), stored_type<EventTime>(),
                                       stored_type<std::optional<EventTime>>(),
                                       stored_type<std::uint8_t>(), stored_type<A>())));
  }
};

template <class A>
struct HeapSize<KeySessions<A>> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const KeySessions<A>& value) {
    std::size_t total = 0;
    if (value.sessions.capacity() > 1)
      total += value.sessions.capacity() * sizeof(SessionContent<A>) + codec::kAllocationOverhead;
    if constexpr (tidemill::kHasHeap<A>) {
      for (const SessionContent<A>& s : value.sessions) total += memory_size(s.content);
    }
    return total;
  }
};

}  // namespace tidemill
