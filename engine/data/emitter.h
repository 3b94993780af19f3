// How operators hand on what they make. An Outlet takes whole messages; an Emitter<T> fills batches
// of one type and pushes them.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/metrics.h"
#include "engine/data/batch.h"
#include "engine/data/message.h"
#include "engine/data/rows_view.h"

namespace tidemill {

// Where messages go: the next stage of the chain, or an exchange to other tasks. One thread.
class Outlet {
 public:
  virtual ~Outlet() = default;
  virtual void push(AnyBatch batch) = 0;
  // For an outlet that takes views, always or never: a RowsView of the type that it takes batches
  // of. Who takes views overrides both.
  [[nodiscard]] virtual bool takes_views() const { return false; }
  virtual void push(const AnyView& /*rows*/) { TM_CHECK(false); }
  virtual void push(const Signal& signal) = 0;
  // True while something behind this outlet takes nothing more: the task is not stepped
  // (back-pressure).
  [[nodiscard]] virtual bool is_blocked() const = 0;
};

// Counts what an output gives. Reading the clock costs as much as handing on a batch, so it is done
// once for many.
struct OutputMeter {
  const Clock* clock;
  Counter* records;
  Histogram* age;  // wall clock minus the event time of the last record counted

  void count(std::size_t num_records, EventTime last) const {
    records->add(num_records);
    if (last.is_finite()) age->record(age_us(last, clock->processing_time()), num_records);
  }
  // In microseconds, as histograms are; what lies ahead has age 0.
  static std::uint64_t age_us(EventTime event, EventTime now) {
    constexpr std::int64_t kLongestMs = std::int64_t{1} << 43;
    if (event >= now) return 0;
    if (event.ms < now.ms - kLongestMs) return std::uint64_t{kLongestMs} * 1000;
    return static_cast<std::uint64_t>(now.ms - event.ms) * 1000;
  }
};

class EmitterBase {
 public:
  virtual ~EmitterBase() = default;
  void meter(const OutputMeter& meter) { meter_ = meter; }
  virtual void flush() = 0;
  void connect(Outlet& outlet) {
    outlets_.push_back(&outlet);
    all_take_views_ = all_take_views_ && outlet.takes_views();
  }
  [[nodiscard]] bool is_connected() const { return !outlets_.empty(); }
  // Rows that are emitted as a view are read where they lie, and not copied into batches.
  [[nodiscard]] bool all_take_views() const { return all_take_views_; }
  void signal(const Signal& s) {
    flush();
    count_emitted();
    for (Outlet* o : outlets_) o->push(s);
  }
  [[nodiscard]] bool is_blocked() const {
    for (const Outlet* o : outlets_) {
      if (o->is_blocked()) return true;
    }
    return false;
  }
  // Tells the meter what it does not know yet: with every signal, and at least once a millisecond
  // or 1,024 records.
  void count_emitted() {
    if (uncounted_ == 0) return;
    if (meter_) meter_->count(uncounted_, newest_);
    uncounted_ = 0;
  }
  // Records that went nowhere, because nothing is connected to this port.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  [[nodiscard]] std::uint64_t emitted() const { return emitted_; }

 protected:
  static constexpr std::size_t kMostUncounted = 1024;

  void note_pushed(std::size_t num_records, EventTime last) {
    emitted_ += num_records;
    uncounted_ += num_records;
    newest_ = last;
    if (uncounted_ >= kMostUncounted) count_emitted();
  }

  std::vector<Outlet*> outlets_;
  bool all_take_views_ = true;
  std::optional<OutputMeter> meter_;
  std::uint64_t dropped_ = 0;
  std::uint64_t emitted_ = 0;
  std::size_t uncounted_ = 0;
  EventTime newest_ = EventTime::min();  // of the last record that is not counted yet
};

// Not thread-safe; owned by its stage, which flushes it before every signal.
template <class T>
class Emitter final : public EmitterBase {
 public:
  void emit(T value, EventTime time) {
    if (outlets_.empty()) {
      ++dropped_;
      return;
    }
    if (!batch_) batch_ = std::make_unique<Batch<T>>(kBatchRows<T>);
    batch_->append(std::move(value), time);
    if (batch_->size() >= kBatchRows<T>) flush();
  }

  // Emits what `make(T&)` makes of a T{}, where it is going to lie.
  template <class Make>
  void emit_made(EventTime time, Make&& make) {
    if (outlets_.empty()) {
      ++dropped_;
      return;
    }
    if (!batch_) batch_ = std::make_unique<Batch<T>>(kBatchRows<T>);
    make(batch_->append_empty(time));
    if (batch_->size() >= kBatchRows<T>) flush();
  }

  // Emits make(row), a Record<T>, for each of the `count` rows from `first` on.
  template <class Iterator, class Make>
  void emit_all(Iterator first, std::size_t count, Make make) {
    if (outlets_.empty()) {
      dropped_ += count;
      return;
    }
    while (count > 0) {
      if (!batch_) batch_ = std::make_unique<Batch<T>>(kBatchRows<T>);
      const std::size_t size = std::min(kBatchRows<T> - batch_->size(), count);
      const Iterator end = first + static_cast<std::ptrdiff_t>(size);
      batch_->append_all(first, end, make);
      first = end;
      count -= size;
      if (batch_->size() >= kBatchRows<T>) flush();
    }
  }

  // Emits rows that lie elsewhere: shown to who reads them there, else copied into batches.
  void emit(const RowsView<T>& rows) {
    if (!all_take_views_ || outlets_.empty()) {
      emit_all(rows.begin(), rows.size(), [](const typename RowsView<T>::Row& row) {
        return Record<T>{row.value, row.time};
      });
      return;
    }
    flush();
    if (rows.size() > 0) note_pushed(rows.size(), rows.last_time());
    for (Outlet* outlet : outlets_) outlet->push(rows);
  }

  // Hands on a whole batch as it is.
  void emit(std::unique_ptr<Batch<T>> batch) {
    flush();
    push(std::move(batch));
  }

  void flush() override {
    if (batch_ && !batch_->empty()) push(std::move(batch_));
  }

 private:
  void push(std::unique_ptr<Batch<T>> batch) {
    if (outlets_.empty()) {
      dropped_ += batch->size();
      return;
    }
    if (!batch->empty()) note_pushed(batch->size(), batch->last_time());
    for (std::size_t i = 0; i + 1 < outlets_.size(); ++i) {
      if (outlets_[i]->takes_views()) {
        outlets_[i]->push(RowsView<T>(*batch));
      } else if constexpr (std::is_copy_constructible_v<T>) {
        outlets_[i]->push(std::make_unique<Batch<T>>(*batch));
      } else {
        TM_CHECK(outlets_.size() == 1);  // of a move-only type one consumer keeps rows, the last
      }
    }
    outlets_.back()->push(std::move(batch));
  }

  std::unique_ptr<Batch<T>> batch_;
};

}  // namespace tidemill
