// How operators hand on what they make. An Outlet takes whole messages; an Emitter<T> fills batches
// of one type and pushes them.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/metrics.h"
#include "engine/data/batch.h"
#include "engine/data/message.h"

namespace tidemill {

// Where messages go: the next stage of the chain, or an exchange to other tasks. One thread.
class Outlet {
 public:
  virtual ~Outlet() = default;
  virtual void push(AnyBatch batch) = 0;
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
  void connect(Outlet& outlet) { outlets_.push_back(&outlet); }
  [[nodiscard]] bool is_connected() const { return !outlets_.empty(); }
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

  std::vector<Outlet*> outlets_;
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

  // Emits make(row), a Record<T>, for each of the rows that lie from `first` to `last`.
  template <class Row, class Make>
  void emit_all(const Row* first, const Row* last, Make make) {
    if (outlets_.empty()) {
      dropped_ += static_cast<std::size_t>(last - first);
      return;
    }
    while (first != last) {
      if (!batch_) batch_ = std::make_unique<Batch<T>>(kBatchRows<T>);
      const std::size_t room = kBatchRows<T> - batch_->size();
      const Row* const end = first + std::min(room, static_cast<std::size_t>(last - first));
      batch_->append_all(std::span(first, end), make);
      first = end;
      if (batch_->size() >= kBatchRows<T>) flush();
    }
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
    if (!batch->empty()) {
      emitted_ += batch->size();
      uncounted_ += batch->size();
      newest_ = batch->last_time();
      if (uncounted_ >= kMostUncounted) count_emitted();
    }
    for (std::size_t i = 0; i + 1 < outlets_.size(); ++i) {
      if constexpr (std::is_copy_constructible_v<T>) {
        outlets_[i]->push(std::make_unique<Batch<T>>(*batch));
      } else {
        TM_CHECK(outlets_.size() == 1);  // a stream of a move-only type has one consumer
      }
    }
    outlets_.back()->push(std::move(batch));
  }

  std::unique_ptr<Batch<T>> batch_;
};

}  // namespace tidemill
