// The rows of one key that joins keep: in one value of keyed state, ordered by time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <boost/container/small_vector.hpp>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/base/time.h"
#include "state/codec.h"
#include "state/memory_size.h"

namespace tidemill {

template <class T>
struct StoredRow {
  StoredRow(EventTime at, bool marked, T&& what)
      : time(at), is_marked(marked), value(std::move(what)) {}

  EventTime time;
  bool is_marked;  // whatever its owner notes of it
  T value;
};

// Rows of the same time stay in the order they came. Counts its bytes as it grows, so that a long
// list costs no more per row than a short one. One thread.
template <class T>
class RowList {
 public:
  void insert(EventTime time, bool is_marked, T&& value) {
    if constexpr (kHasHeap<T>) heap_ += memory_size(value);
    if (rows_.empty() || rows_.back().time <= time) {
      rows_.emplace_back(time, is_marked, std::move(value));
      return;
    }
    const auto at = std::upper_bound(first_row(), rows_.end(), time,
                                     [](EventTime t, const auto& row) { return t < row.time; });
    rows_.emplace(at, time, is_marked, std::move(value));
  }
  // Forgets the first `count` rows. Their places are kept until they are half of all.
  void erase_first(std::size_t count) {
    if constexpr (kHasHeap<T>) {
      for (const StoredRow<T>& row : rows().first(count)) heap_ -= memory_size(row.value);
    }
    gone_ += count;
    if (2 * gone_ < rows_.size()) return;
    rows_.erase(rows_.begin(), first_row());
    gone_ = 0;
  }

  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] std::size_t size() const { return rows_.size() - gone_; }
  [[nodiscard]] std::span<const StoredRow<T>> rows() const { return all().subspan(gone_); }
  // Those with first <= time <= last.
  [[nodiscard]] std::span<const StoredRow<T>> between(EventTime first, EventTime last) const {
    const std::span<const StoredRow<T>> kept = rows();
    if (!kept.empty() && first <= kept.front().time && kept.back().time <= last) return kept;
    const auto [begin, end] = range(first, last);
    return all().subspan(begin, end - begin);
  }
  void mark(EventTime first, EventTime last) {
    const auto [begin, end] = range(first, last);
    for (std::size_t i = begin; i < end; ++i) rows_[i].is_marked = true;
  }

  [[nodiscard]] std::size_t heap_size() const {
    if (rows_.capacity() <= kInline) return heap_;
    return rows_.capacity() * sizeof(StoredRow<T>) + heap_ + codec::kAllocationOverhead;
  }

 private:
  friend struct Codec<RowList<T>>;

  [[nodiscard]] std::span<const StoredRow<T>> all() const { return {rows_.data(), rows_.size()}; }
  [[nodiscard]] auto first_row() { return rows_.begin() + static_cast<std::ptrdiff_t>(gone_); }
  [[nodiscard]] std::pair<std::size_t, std::size_t> range(EventTime first, EventTime last) const {
    const auto by_time = [](const StoredRow<T>& row, EventTime t) { return row.time < t; };
    const auto begin = std::lower_bound(rows_.begin() + static_cast<std::ptrdiff_t>(gone_),
                                        rows_.end(), first, by_time);
    auto end = rows_.end();
    if (!rows_.empty() && rows_.back().time > last) {
      end = std::upper_bound(begin, rows_.end(), last,
                             [](EventTime t, const auto& row) { return t < row.time; });
    }
    return {static_cast<std::size_t>(begin - rows_.begin()),
            static_cast<std::size_t>(end - rows_.begin())};
  }

  // Many keys have one row; a large one is not worth the place in lists of more.
  static constexpr std::size_t kInline = sizeof(StoredRow<T>) <= 64 ? 1 : 0;

  boost::container::small_vector<StoredRow<T>, kInline> rows_;
  std::size_t gone_ = 0;  // rows at the front that are erased
  std::size_t heap_ = 0;  // of the values
};

// [layout][number of rows][of each: time less that of the row before, mark, value]
template <class T>
struct Codec<RowList<T>> {
  static constexpr std::uint8_t kLayout = 1;

  static void encode(Bytes& out, const RowList<T>& list) {
    append_u8(out, kLayout);
    append_varint(out, list.size());
    std::uint64_t before = 0;
    for (const StoredRow<T>& row : list.rows()) {
      const auto time = static_cast<std::uint64_t>(row.time.ms);
      append_varint(out, zigzag(static_cast<std::int64_t>(time - before)));
      append_u8(out, row.is_marked ? 1 : 0);
      Codec<T>::encode(out, row.value);
      before = time;
    }
  }
  static RowList<T> decode(ByteReader& in) {
    if (const std::uint8_t layout = in.u8(); layout != kLayout)
      throw Error(ErrorCode::kCorrupt,
                  "stored rows have an unknown layout: " + std::to_string(layout) +
                      "; written by a newer version?");
    RowList<T> list;
    const std::size_t count = codec::read_count(in);
    list.rows_.reserve(count);
    std::uint64_t before = 0;
    for (std::size_t i = 0; i < count; ++i) {
      before += static_cast<std::uint64_t>(unzigzag(in.varint()));
      const EventTime time{static_cast<std::int64_t>(before)};
      const bool is_marked = in.u8() != 0;
      list.rows_.emplace_back(time, is_marked, Codec<T>::decode(in));
      if constexpr (kHasHeap<T>) list.heap_ += memory_size(list.rows_.back().value);
    }
    return list;
  }
  static StoredType stored_type() {
    using enum StoredType::Kind;
    using tidemill::stored_type;
    return stored::of(kTuple, stored_type<std::uint8_t>(),
                      stored::of(kVector, stored::of(kTuple, stored_type<std::int64_t>(),
                                                     stored_type<bool>(), stored_type<T>())));
  }
};

template <class T>
struct HeapSize<RowList<T>> {
  static constexpr bool kHasHeap = true;
  static std::size_t of(const RowList<T>& list) { return list.heap_size(); }
};

}  // namespace tidemill
