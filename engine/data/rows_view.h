// Rows to be read where somebody else keeps them: in a batch that goes to others too, or in memory
// that a source reads from. Who keeps nothing of a row need not be given a copy of it.
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <span>

#include "engine/base/time.h"
#include "engine/data/batch.h"

namespace tidemill {

// Of any type. Valid during the call that it is given to.
class AnyView {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }
  // True if views of the same stream follow before anything else does: what was made of this one
  // need not be handed on yet.
  [[nodiscard]] bool has_more() const { return has_more_; }

 protected:
  AnyView(std::size_t size, bool has_more) : size_(size), has_more_(has_more) {}
  ~AnyView() = default;

 private:
  std::size_t size_;
  bool has_more_;
};

// Values at equal distances, each with its time at the same place beside or inside it. About a
// batch's worth of them (kBatchRows): what an operator makes of a view may be one batch.
template <class T>
class RowsView final : public AnyView {
 public:
  struct Row {
    const T& value;
    EventTime time;
  };
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Row;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = Row;

    Row operator*() const {
      return {*reinterpret_cast<const T*>(at_), *reinterpret_cast<const EventTime*>(at_ + time_)};
    }
    Iterator& operator++() {
      at_ += stride_;
      ++index_;
      return *this;
    }
    Iterator operator+(std::ptrdiff_t n) const {
      return {at_ + n * stride_, time_, stride_, index_ + n};
    }
    // Of one view.
    bool operator==(const Iterator& other) const { return index_ == other.index_; }

   private:
    friend RowsView;
    Iterator(const std::byte* at, std::ptrdiff_t time, std::ptrdiff_t stride, std::ptrdiff_t index)
        : at_(at), time_(time), stride_(stride), index_(index) {}

    const std::byte* at_;
    std::ptrdiff_t time_;
    std::ptrdiff_t stride_;
    std::ptrdiff_t index_;
  };

  // Of rows that hold their event time in the member `time`.
  template <std::same_as<T> Row>
  RowsView(std::span<const Row> rows, EventTime Row::*time, bool has_more = false)
      : AnyView(rows.size(), has_more), stride_(sizeof(T)) {
    if (!rows.empty()) begin_at(rows.front(), rows.front().*time);
  }
  explicit RowsView(const Batch<T>& batch)
      : AnyView(batch.size(), false), stride_(sizeof(Record<T>)) {
    if (!batch.empty()) begin_at(batch[0].value, batch[0].time);
  }

  [[nodiscard]] Iterator begin() const { return {first_, time_, stride_, 0}; }
  [[nodiscard]] Iterator end() const { return begin() + static_cast<std::ptrdiff_t>(size()); }
  // Event time of the last record; EventTime::min() of none.
  [[nodiscard]] EventTime last_time() const {
    if (size() == 0) return EventTime::min();
    return (*(begin() + static_cast<std::ptrdiff_t>(size() - 1))).time;
  }

 private:
  void begin_at(const T& value, const EventTime& time) {
    first_ = reinterpret_cast<const std::byte*>(&value);
    time_ = reinterpret_cast<const std::byte*>(&time) - first_;
  }

  const std::byte* first_ = nullptr;
  std::ptrdiff_t time_ = 0;  // of a row, from where its value lies
  std::ptrdiff_t stride_;
};

}  // namespace tidemill
