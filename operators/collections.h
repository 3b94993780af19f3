// Accumulators that keep many values: Distinct, Collect, TopN. Their size is the number of values
// they keep.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/container_hash/hash.hpp>
#include <boost/describe.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include "operators/accumulator.h"
#include "operators/aggregates.h"
#include "operators/text_multiset.h"
#include "state/codec.h"
#include "state/memory_size.h"

namespace tidemill {

// How often each value occurs. A few values lie in a vector and are found by comparing; more get a
// hash table (boost::hash).
template <class T>
class Multiset {
 public:
  using Entry = std::pair<T, std::int64_t>;
  static constexpr std::size_t kFew = 16;

  Multiset() = default;
  Multiset(const Multiset& other)
      : few_(other.few_), many_(other.many_ ? std::make_unique<Many>(*other.many_) : nullptr) {}
  Multiset(Multiset&&) noexcept = default;
  Multiset& operator=(const Multiset& other) {
    if (this != &other) *this = Multiset(other);
    return *this;
  }
  Multiset& operator=(Multiset&&) noexcept = default;
  ~Multiset() = default;

  // Adds `times` occurrences; a negative number takes away. A value whose count reaches 0 is gone.
  void add(const T& value, std::int64_t times = 1) {
    if (many_) {
      add_to_many(value, times);
      return;
    }
    for (Entry& entry : few_) {
      if (!(entry.first == value)) continue;
      entry.second += times;
      if (entry.second == 0) {
        if (&entry != &few_.back()) entry = std::move(few_.back());
        few_.pop_back();
      }
      return;
    }
    if (few_.size() < kFew) {
      few_.emplace_back(value, times);
      return;
    }
    many_ = std::make_unique<Many>();
    for (Entry& entry : few_) many_->emplace(std::move(entry.first), entry.second);
    few_ = std::vector<Entry>();
    add_to_many(value, times);
  }

  void add_all(const Multiset& other, std::int64_t sign) {
    other.for_each([&](const T& value, std::int64_t times) { add(value, sign * times); });
  }

  [[nodiscard]] std::size_t size() const { return many_ ? many_->size() : few_.size(); }
  [[nodiscard]] std::int64_t count(const T& value) const {
    if (many_) {
      const auto it = many_->find(value);
      return it == many_->end() ? 0 : it->second;
    }
    for (const Entry& entry : few_) {
      if (entry.first == value) return entry.second;
    }
    return 0;
  }

  // Without what the values themselves own.
  [[nodiscard]] std::size_t capacity_bytes() const {
    return many_ ? sizeof(Many) + many_->bucket_count() * (sizeof(Entry) + 2)
                 : few_.capacity() * sizeof(Entry);
  }

  // In no particular order.
  template <class Fn>
  void for_each(Fn fn) const {
    for (const Entry& entry : few_) fn(entry.first, entry.second);
    if (!many_) return;
    for (const auto& [value, times] : *many_) fn(value, times);
  }

  friend bool operator==(const Multiset& a, const Multiset& b) {
    bool equal = a.size() == b.size();
    a.for_each(
        [&](const T& value, std::int64_t times) { equal = equal && b.count(value) == times; });
    return equal;
  }

 private:
  using Many = boost::unordered_flat_map<T, std::int64_t, boost::hash<T>>;

  void add_to_many(const T& value, std::int64_t times) {
    const auto [it, is_new] = many_->try_emplace(value, 0);
    it->second += times;
    if (it->second == 0) many_->erase(it);
    if (many_->empty()) many_.reset();
  }

  std::vector<Entry> few_;
  std::unique_ptr<Many> many_;
};

template <class T>
struct Codec<Multiset<T>> {
  static void encode(Bytes& out, const Multiset<T>& value) {
    append_varint(out, value.size());
    value.for_each([&](const T& v, std::int64_t times) {
      Codec<T>::encode(out, v);
      append_varint(out, zigzag(times));
    });
  }
  static Multiset<T> decode(ByteReader& in) {
    Multiset<T> value;
    for (std::size_t left = codec::read_count(in); left > 0; --left) {
      const T v = Codec<T>::decode(in);
      const std::int64_t times = unzigzag(in.varint());
      if (value.count(v) != 0)
        throw Error(ErrorCode::kCorrupt, "stored multiset names a value twice");
      if (times != 0) value.add(v, times);
    }
    return value;
  }
  static StoredType stored_type() {
    return stored::of(StoredType::Kind::kMap, tidemill::stored_type<T>(),
                      tidemill::stored_type<std::int64_t>());
  }
};

template <class T>
struct HeapSize<Multiset<T>> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const Multiset<T>& value) {
    std::size_t total = value.capacity_bytes();
    if constexpr (tidemill::kHasHeap<T>) {
      value.for_each([&](const T& v, std::int64_t) { total += memory_size(v); });
    }
    return total;
  }
};

template <class T>
using MultisetOf = std::conditional_t<std::same_as<T, std::string>, TextMultiset, Multiset<T>>;

// The number of different values. Keeps how often each occurs, so that subtract is exact.
template <class T>
struct Distinct {
  MultisetOf<T> values;

  void add(const T& value) { values.add(value); }
  void merge(const Distinct& other) { values.add_all(other.values, 1); }
  void subtract(const Distinct& other) { values.add_all(other.values, -1); }
  [[nodiscard]] std::int64_t result() const { return static_cast<std::int64_t>(values.size()); }
  friend bool operator==(const Distinct&, const Distinct&) = default;
  BOOST_DESCRIBE_CLASS(Distinct, (), (values), (), ())
};

// A value and its place in the order of events.
template <class T>
struct Collected {
  T value;
  std::int64_t time = 0;
  std::int32_t partition = 0;
  std::int64_t offset = 0;

  [[nodiscard]] Stamp stamp() const { return {{time}, {partition, offset}}; }
  friend bool operator==(const Collected&, const Collected&) = default;
  BOOST_DESCRIBE_CLASS(Collected, (), (value, time, partition, offset), (), ())
};

// All values in the order of their times, ties by arrival; of more than `Limit` (0: no limit) the
// latest.
template <class T, std::size_t Limit = 0>
struct Collect {
  std::vector<Collected<T>> values;

  void add(const T& value, const Stamp& at) {
    insert({value, at.time.ms, at.order.partition, at.order.offset});
  }
  void merge(const Collect& other) {
    if (&other == this) {
      merge(Collect(other));
      return;
    }
    for (const Collected<T>& c : other.values) insert(c);
  }
  // What is newer than all of `oldest` stays.
  void evict(const Collect& oldest) {
    if (oldest.values.empty()) return;
    const Stamp last = oldest.values.back().stamp();
    const auto kept = std::find_if(values.begin(), values.end(),
                                   [&](const Collected<T>& c) { return c.stamp() > last; });
    values.erase(values.begin(), kept);
  }
  [[nodiscard]] std::vector<T> result() const {
    std::vector<T> all;
    all.reserve(values.size());
    for (const Collected<T>& c : values) all.push_back(c.value);
    return all;
  }
  friend bool operator==(const Collect&, const Collect&) = default;
  BOOST_DESCRIBE_CLASS(Collect, (), (values), (), ())

 private:
  void insert(Collected<T> c) {
    const Stamp at = c.stamp();
    auto place = values.end();
    while (place != values.begin() && std::prev(place)->stamp() > at) --place;
    values.insert(place, std::move(c));
    if (Limit != 0 && values.size() > Limit) values.erase(values.begin());
  }
};

// The N greatest values by `<`, greatest first; equal values count as often as they occur. Requires
// of T that two values of which none is less are the same. NaN is left out.
template <class T, std::size_t N>
struct TopN {
  static_assert(N > 0);
  static constexpr bool kIsBounded = true;
  std::vector<T> values;

  void add(const T& value) {
    if (is_nan(value)) return;
    const auto place = std::upper_bound(values.begin(), values.end(), value,
                                        [](const T& a, const T& b) { return strictly_less(b, a); });
    if (place == values.end() && values.size() == N) return;
    values.insert(place, value);
    if (values.size() > N) values.pop_back();
  }
  void merge(const TopN& other) {
    if (&other == this) {
      merge(TopN(other));
      return;
    }
    for (const T& value : other.values) add(value);
  }
  [[nodiscard]] const std::vector<T>& result() const { return values; }
  friend bool operator==(const TopN&, const TopN&) = default;
  BOOST_DESCRIBE_CLASS(TopN, (), (values), (), ())
};

}  // namespace tidemill
