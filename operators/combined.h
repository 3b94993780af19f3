// Several accumulators in one, each of its own part of the record.
//
//   using Spend = Combined<Count, Of<&Order::price, Sum<double>>, Of<&Order::price, Max<double>>>;
//   // result: a std::tuple
#pragma once

#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <boost/describe.hpp>

#include "operators/accumulator.h"

namespace tidemill {

// An accumulator of one part of the record: what std::invoke(Part, record) gives.
template <auto Part, class A>
struct Of {
  static constexpr bool kIsBounded = BoundedSize<A>;
  A of;

  template <class V>
  requires std::invocable<decltype(Part), const V&>
  void add(const V& value, const Stamp& stamp) { add_to(of, std::invoke(Part, value), stamp); }
  void merge(const Of& other) { of.merge(other.of); }
  void subtract(const Of& other) requires Subtractable<A> { of.subtract(other.of); }
  void evict(const Of& oldest) requires Evictable<A> { evict_from(of, oldest.of); }
  [[nodiscard]] auto result() const { return result_of(of); }
  friend bool operator==(const Of&, const Of&) = default;
  BOOST_DESCRIBE_CLASS(Of, (), (of), (), ())
};

// Adds each record to all of As. Takes records that each of them takes.
template <class... As>
struct Combined {
  static constexpr bool kIsBounded = (BoundedSize<As> && ...);
  std::tuple<As...> parts;

  template <class V>
  requires(Accumulator<As, V>&&...) void add(const V& value, const Stamp& stamp) {
    std::apply([&](As&... part) { (add_to(part, value, stamp), ...); }, parts);
  }
  void merge(const Combined& other) {
    pairwise(other, [](auto& mine, const auto& theirs) { mine.merge(theirs); });
  }
  void subtract(const Combined& other) requires(Subtractable<As>&&...) {
    pairwise(other, [](auto& mine, const auto& theirs) { mine.subtract(theirs); });
  }
  void evict(const Combined& oldest) requires(Evictable<As>&&...) {
    pairwise(oldest, [](auto& mine, const auto& theirs) { evict_from(mine, theirs); });
  }
  [[nodiscard]] auto result() const {
    return std::apply([](const As&... part) { return std::make_tuple(result_of(part)...); }, parts);
  }
  friend bool operator==(const Combined&, const Combined&) = default;
  BOOST_DESCRIBE_CLASS(Combined, (), (parts), (), ())

 private:
  template <class Fn>
  void pairwise(const Combined& other, Fn fn) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (fn(std::get<I>(parts), std::get<I>(other.parts)), ...);
    }
    (std::index_sequence_for<As...>{});
  }
};

}  // namespace tidemill
