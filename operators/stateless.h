// Operators without state: one loop per batch.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "engine/operator/context.h"
#include "engine/operator/operator.h"

namespace tidemill {

// f(value) in place of each value, at the same time. F: U(const T&), a member pointer, or anything
// std::invoke takes.
template <class T, class U, class F>
class MapOperator final : public OneInput<T> {
 public:
  using Out = U;

  MapOperator(OperatorContext& ctx, F f) : f_(std::move(f)), out_(ctx.output<U>(0)) {}

  void process(Batch<T>& batch) override {
    auto results = std::make_unique<Batch<U>>(batch.size());
    results->append_all(std::as_const(batch), [this](const Record<T>& record) {
      return Record<U>{std::invoke(f_, record.value), record.time};
    });
    out_.emit(std::move(results));
  }

 private:
  F f_;
  Emitter<U>& out_;
};

// Keeps the records for which predicate(value) holds. The batch itself goes on, so nothing is
// copied.
template <class T, class F>
class FilterOperator final : public OneInput<T> {
 public:
  using Out = T;

  FilterOperator(OperatorContext& ctx, F predicate)
      : predicate_(std::move(predicate)), out_(ctx.output<T>(0)) {}

  void process(Batch<T>& batch) override {
    batch.erase_if([&](const Record<T>& record) { return !std::invoke(predicate_, record.value); });
    if (!batch.empty()) out_.emit(std::make_unique<Batch<T>>(std::move(batch)));
  }

 private:
  F predicate_;
  Emitter<T>& out_;
};

// Hands its batches on; there to be sent to.
template <class T>
class PassOn final : public OneInput<T> {
 public:
  using Out = T;

  explicit PassOn(OperatorContext& ctx) : out_(ctx.output<T>(0)) {}

  void process(Batch<T>& batch) override {
    out_.emit(std::make_unique<Batch<T>>(std::move(batch)));
  }

 private:
  Emitter<T>& out_;
};

// f(value, emit) calls emit(U) any number of times; each has the record's time.
template <class T, class U, class F>
class FlatMapOperator final : public OneInput<T> {
 public:
  using Out = U;

  FlatMapOperator(OperatorContext& ctx, F f) : f_(std::move(f)), out_(ctx.output<U>(0)) {}

  void process(Batch<T>& batch) override {
    for (const Record<T>& record : batch) {
      std::invoke(f_, record.value, [&](U value) { out_.emit(std::move(value), record.time); });
    }
  }

 private:
  F f_;
  Emitter<U>& out_;
};

}  // namespace tidemill
