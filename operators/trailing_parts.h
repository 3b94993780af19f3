// What a trailing window keeps of an accumulator: by default the accumulator itself, in every slice
// and every total. One that would keep the same things in each of them, such as texts, says here
// what lies where.
//
//   struct Visits {
//     struct Shared { ... };  // once per key
//     struct One { ... };     // one record
//     struct Slice { ... };   // what a slice keeps
//     struct Total { ... };   // what a window keeps
//   };
//
// Laws: a total is what the slices it counts hold together. What a key shares is told of each
// record that counts in some window (`note`), and when nothing counts any more (`forget`). It may
// give numbers for what the other parts mean: they say which of them are in use (`mark`) when it
// `wants_sweep`, and take the new ones (`renumber`).
#pragma once

#include <concepts>
#include <cstdint>
#include <vector>

#include "operators/accumulator.h"

namespace tidemill {

// Of numbers that something shared has given: whether each is in use, and what it has become.
using NumbersInUse = std::vector<bool>;
using NewNumbers = std::vector<std::uint32_t>;

// Shared, Slice and One have a Codec; Shared, Slice and Total a HeapSize.
template <class A, class In>
concept AccumulatorInParts = requires(typename A::Shared shared, const typename A::One one,
                                      typename A::Slice slice, typename A::Total total,
                                      const typename A::Slice other, const In& value,
                                      const Stamp& stamp) {
  { shared.take(value) } -> std::same_as<typename A::One>;
  slice.add(one);
  slice.merge(other);
  total.add(one);
  total.merge(other);
  total.subtract(other);
  shared.note(one, stamp);
  shared.forget();
  shared.check(one);  // throws Error(kCorrupt) for numbers that it has not given
  shared.check(other);
  { shared.wants_sweep() } -> std::convertible_to<bool>;
  { shared.keep(shared.in_use()) } -> std::same_as<NewNumbers>;
};

template <class A>
concept HasParts = requires {
  typename A::Shared;
  typename A::One;
  typename A::Slice;
  typename A::Total;
};

template <class A>
struct TrailingParts {
  struct Shared {};
  using One = A;
  using Slice = A;
  using Total = A;
};
template <HasParts A>
struct TrailingParts<A> {
  using Shared = typename A::Shared;
  using One = typename A::One;
  using Slice = typename A::Slice;
  using Total = typename A::Total;
};

}  // namespace tidemill
