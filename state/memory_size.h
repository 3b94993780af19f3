// Estimates the heap bytes behind a value, beyond sizeof: what the memory budget charges
// (docs/operations.md). Exact to allocator overhead.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "state/codec.h"

namespace tidemill {

// Specialise for a type of your own that owns heap memory; others count as 0.
template <class T>
struct HeapSize {
  static constexpr bool kHasHeap = false;
  static std::size_t of(const T&) { return 0; }
};

// True if values of T may own heap memory.
template <class T>
inline constexpr bool kHasHeap = HeapSize<T>::kHasHeap;

template <class T>
std::size_t memory_size(const T& value) {
  return HeapSize<T>::of(value);
}

namespace codec {
inline constexpr std::size_t kAllocationOverhead = 16;
inline constexpr std::size_t kTreeNode = 32 + kAllocationOverhead;  // colour, three pointers
}  // namespace codec

template <>
struct HeapSize<std::string> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const std::string& value) {
    return value.capacity() <= 15 ? 0 : value.capacity() + 1 + codec::kAllocationOverhead;
  }
};

template <class T>
struct HeapSize<std::optional<T>> {
  static constexpr bool kHasHeap = tidemill::kHasHeap<T>;
  static std::size_t of(const std::optional<T>& value) { return value ? memory_size(*value) : 0; }
};

template <class A, class B>
struct HeapSize<std::pair<A, B>> {
  static constexpr bool kHasHeap = tidemill::kHasHeap<A> || tidemill::kHasHeap<B>;
  static std::size_t of(const std::pair<A, B>& value) {
    return memory_size(value.first) + memory_size(value.second);
  }
};

template <class... Ts>
struct HeapSize<std::tuple<Ts...>> {
  static constexpr bool kHasHeap = (tidemill::kHasHeap<Ts> || ...);
  static std::size_t of(const std::tuple<Ts...>& value) {
    return std::apply(
        [](const Ts&... parts) { return (std::size_t{0} + ... + memory_size(parts)); }, value);
  }
};

template <class T, std::size_t N>
struct HeapSize<std::array<T, N>> {
  static constexpr bool kHasHeap = tidemill::kHasHeap<T>;
  static std::size_t of(const std::array<T, N>& value) {
    std::size_t total = 0;
    if constexpr (kHasHeap) {
      for (const T& element : value) total += memory_size(element);
    }
    return total;
  }
};

template <class T>
struct HeapSize<std::vector<T>> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const std::vector<T>& value) {
    if (value.capacity() == 0) return 0;
    std::size_t total = value.capacity() * sizeof(T) + codec::kAllocationOverhead;
    if constexpr (tidemill::kHasHeap<T>) {
      for (const T& element : value) total += memory_size(element);
    }
    return total;
  }
};

template <class K, class V>
struct HeapSize<std::map<K, V>> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const std::map<K, V>& value) {
    std::size_t total = value.size() * (sizeof(std::pair<const K, V>) + codec::kTreeNode);
    if constexpr (tidemill::kHasHeap<K> || tidemill::kHasHeap<V>) {
      for (const auto& [k, v] : value) total += memory_size(k) + memory_size(v);
    }
    return total;
  }
};

template <class K>
struct HeapSize<std::set<K>> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const std::set<K>& value) {
    std::size_t total = value.size() * (sizeof(K) + codec::kTreeNode);
    if constexpr (tidemill::kHasHeap<K>) {
      for (const auto& k : value) total += memory_size(k);
    }
    return total;
  }
};

template <codec::Described T>
struct HeapSize<T> {
  template <class Member>
  using OwnsHeap = std::bool_constant<
      tidemill::kHasHeap<std::remove_cvref_t<decltype(std::declval<T>().*Member::pointer)>>>;
  static constexpr bool kHasHeap = boost::mp11::mp_any_of<codec::Members<T>, OwnsHeap>::value;

  static std::size_t of(const T& value) {
    std::size_t total = 0;
    if constexpr (kHasHeap) {
      boost::mp11::mp_for_each<codec::Members<T>>(
          [&](auto member) { total += memory_size(value.*member.pointer); });
    }
    return total;
  }
};

}  // namespace tidemill
