// An ordered set within a value of keyed state: one lies in it, few in one block, many in a tree,
// so that no change costs more than the logarithm of how many there are. Stored as a vector of
// them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <set>
#include <utility>

#include <boost/container/small_vector.hpp>

#include "state/codec.h"
#include "state/memory_size.h"

namespace tidemill {

// One thread. Before: a transparent order (is_transparent) of T and what T is looked up by.
// References end at the next change.
template <class T, class Before>
class OrderedSet {
 public:
  static constexpr std::size_t kFew = 32;

  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] std::size_t size() const { return many_ ? many_->tree.size() : few_.size(); }
  // Requires: it is not empty.
  [[nodiscard]] const T& front() const { return many_ ? *many_->tree.begin() : few_.front(); }

  // The first element that is not before `place`; null if there is none.
  template <class Place>
  [[nodiscard]] const T* first_from(const Place& place) const {
    if (many_) {
      const auto at = many_->tree.lower_bound(place);
      return at == many_->tree.end() ? nullptr : &*at;
    }
    const auto at = std::lower_bound(few_.begin(), few_.end(), place, Before{});
    return at == few_.end() ? nullptr : &*at;
  }

  // Requires: no element is equal to it.
  void insert(T element) {
    if (!many_ && few_.size() == kFew) grow();
    if (many_) {
      many_->heap += memory_size(element);
      many_->tree.insert(std::move(element));
    } else if (few_.empty() || Before{}(few_.back(), element)) {  // mostly they grow
      few_.push_back(std::move(element));
    } else {
      const auto at = std::lower_bound(few_.begin(), few_.end(), element, Before{});
      few_.insert(at, std::move(element));
    }
  }
  // Requires: it is there, as first_from(place).
  template <class Place>
  void erase(const Place& place) {
    if (many_) {
      take(many_->tree.lower_bound(place));
    } else {
      few_.erase(std::lower_bound(few_.begin(), few_.end(), place, Before{}));
    }
  }
  // Requires: it is not empty.
  T pop_front() {
    if (many_) return take(many_->tree.begin());
    T first = std::move(few_.front());
    few_.erase(few_.begin());
    return first;
  }

  // In their order.
  template <class F>
  void for_each(F&& fn) const {
    if (many_) {
      for (const T& element : many_->tree) fn(element);
    } else {
      for (const T& element : few_) fn(element);
    }
  }
  [[nodiscard]] std::size_t heap_size() const {
    if (!many_) {
      std::size_t total = 0;
      if (few_.capacity() > 1) total += few_.capacity() * sizeof(T) + codec::kAllocationOverhead;
      for (const T& element : few_) total += memory_size(element);
      return total;
    }
    return many_->heap + many_->tree.size() * (sizeof(T) + codec::kTreeNode) + sizeof(Many);
  }

 private:
  using Few = boost::container::small_vector<T, 1>;
  using Tree = std::set<T, Before>;
  struct Many {
    Tree tree;
    std::size_t heap = 0;  // of its elements
  };

  void grow() {
    many_ = std::make_unique<Many>();
    for (T& element : few_) {
      many_->heap += memory_size(element);
      many_->tree.insert(many_->tree.end(), std::move(element));
    }
    // Assigned to, it would keep its block.
    std::destroy_at(&few_);
    std::construct_at(&few_);
  }
  T take(typename Tree::const_iterator at) {
    T element = std::move(many_->tree.extract(at).value());
    many_->heap -= memory_size(element);
    if (many_->tree.empty()) many_.reset();
    return element;
  }

  Few few_;  // in order; empty if there is a tree
  std::unique_ptr<Many> many_;
};

template <class T, class Before>
struct Codec<OrderedSet<T, Before>> {
  static void encode(Bytes& out, const OrderedSet<T, Before>& value) {
    append_varint(out, value.size());
    value.for_each([&](const T& element) { Codec<T>::encode(out, element); });
  }
  static OrderedSet<T, Before> decode(ByteReader& in) {
    OrderedSet<T, Before> value;
    for (std::size_t left = codec::read_count(in); left > 0; --left)
      value.insert(Codec<T>::decode(in));
    return value;
  }
  static StoredType stored_type() {
    return stored::of(StoredType::Kind::kVector, tidemill::stored_type<T>());
  }
};

template <class T, class Before>
struct HeapSize<OrderedSet<T, Before>> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const OrderedSet<T, Before>& value) { return value.heap_size(); }
};

}  // namespace tidemill
