// What an accumulator is: a value that takes records one by one, can be merged with another, and is
// its own state.
//
//   struct Spend {
//     double total = 0;
//     std::int64_t orders = 0;
//     void add(const Order& o) { total += o.price; ++orders; }
//     void merge(const Spend& other) { total += other.total; orders += other.orders; }
//   };
//   BOOST_DESCRIBE_STRUCT(Spend, (), (total, orders))
//
// Laws, for which tests/operators/accumulator_laws_test.cc holds those of aggregates.h: merging
// gives what adding everything to one would have given, in any split and any order (of records with
// different stamps); subtract undoes merge; evict undoes the merge of whatever is older than all
// the rest.
//
// Optional members:
//   add(value, stamp)   instead of add(value): where time or order of arrival matter
//   result() const      what goes into the output row; without it the accumulator itself does
//   subtract(other)     undoes merge(other)
//   kIsBounded = true   its heap memory does not grow with the number of values, so that sliding
//                       windows may keep many of it; not needed where it owns none
//   evict(oldest)       undoes merge(oldest), where every record in `oldest` is older than every
//                       other one. Sliding and trailing windows drop slices by it; without it (or
//                       subtract) trailing windows merge again what is left, sliding ones keep two
//                       stacks of what is of bounded size (operators/running_windows.h), and merge
//                       again else
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <boost/describe.hpp>

#include "engine/base/time.h"
#include "state/memory_size.h"

namespace tidemill {

// Breaks ties between records of one time: where the record came from. {} where arrival at the
// operator decides.
struct TieOrder {
  std::int32_t partition = 0;
  std::int64_t offset = 0;

  friend constexpr auto operator<=>(const TieOrder&, const TieOrder&) = default;
};
BOOST_DESCRIBE_STRUCT(TieOrder, (), (partition, offset))

// A record's place in the order of events. Of two records with equal stamps the one added (or
// merged) later counts as later.
struct Stamp {
  EventTime time;
  TieOrder order{};

  friend constexpr auto operator<=>(const Stamp&, const Stamp&) = default;
};

template <class A, class V>
concept AddsStamped = requires(A a, const V& value, const Stamp& stamp) {
  a.add(value, stamp);
};
template <class A, class V>
concept AddsPlain = requires(A a, const V& value) {
  a.add(value);
};
template <class A>
concept Subtractable = requires(A a, const A& other) {
  a.subtract(other);
};
template <class A>
concept Evictable = Subtractable<A> || requires(A a, const A& oldest) {
  a.evict(oldest);
};

// However many values it takes, it stays as large.
template <class A>
concept BoundedSize = !kHasHeap<A> || requires {
  requires A::kIsBounded;
};

// An accumulator of values of type V.
template <class A, class V>
concept Accumulator = std::copyable<A> &&
    (AddsStamped<A, V> || AddsPlain<A, V>)&&requires(A a, const A& other) {
  a.merge(other);
};

template <class A, class V>
requires Accumulator<A, V>
constexpr void add_to(A& accumulator, const V& value, const Stamp& stamp) {
  if constexpr (AddsStamped<A, V>) {
    accumulator.add(value, stamp);
  } else {
    accumulator.add(value);
  }
}

template <Evictable A>
constexpr void evict_from(A& total, const A& oldest) {
  if constexpr (requires { total.evict(oldest); }) {
    total.evict(oldest);
  } else {
    total.subtract(oldest);
  }
}

template <class A>
constexpr auto result_of(const A& accumulator) {
  if constexpr (requires { accumulator.result(); }) {
    return accumulator.result();
  } else {
    return accumulator;
  }
}

// The default last step from an accumulator to what a row carries. An operator may be given another
// one.
struct FinishWithResult {
  template <class A>
  constexpr auto operator()(const A& accumulator) const {
    return result_of(accumulator);
  }
};

}  // namespace tidemill
