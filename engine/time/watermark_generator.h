// From records seen to a watermark, per split. A generator is a copyable value with observe,
// watermark, save and load; BoundedDisorder is the default, any struct of the same shape may take
// its place.
#pragma once

#include <algorithm>
#include <concepts>

#include "engine/base/bytes.h"
#include "engine/base/time.h"

namespace tidemill {

template <class G, class T>
concept WatermarkGenerator = std::copyable<G> &&
    requires(G g, const G c, const T& value, EventTime t, Bytes& out, ByteReader& in) {
  g.observe(value, t);                           // a record that was accepted, in the split's order
  { c.watermark() } -> std::same_as<EventTime>;  // may stay, never has to advance
  c.save(out);                                   // part of the checkpoint
  g.load(in);
};

// Watermark = the greatest time seen minus a bound (saturating).
struct BoundedDisorder {
  Duration disorder{};
  EventTime greatest = EventTime::min();

  template <class T>
  void observe(const T&, EventTime time) {
    greatest = std::max(greatest, time);
  }
  [[nodiscard]] EventTime watermark() const { return greatest - disorder; }
  void save(Bytes& out) const { append_u64(out, ordered(greatest.ms)); }
  void load(ByteReader& in) { greatest = {unordered(in.u64())}; }
};

// No watermark of its own: somebody else announces event time (tests, punctuated sources).
struct NoWatermarks {
  template <class T>
  void observe(const T&, EventTime) {}
  [[nodiscard]] EventTime watermark() const { return EventTime::min(); }
  void save(Bytes&) const {}
  void load(ByteReader&) {}
};

}  // namespace tidemill
