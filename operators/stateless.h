// Operators without state: one loop per batch.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>
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

  // A batch's own loop: its rows lie at a distance known here.
  void process(Batch<T>& batch) override {
    map_all(batch.size(), std::as_const(batch).begin(), std::as_const(batch).end());
  }
  [[nodiscard]] bool takes_views() const override { return true; }
  void on_view(int /*input*/, const AnyView& any) override {
    const auto& rows = static_cast<const RowsView<T>&>(any);
    map_all(rows.size(), rows.begin(), rows.end());
  }

 private:
  template <class Iterator>
  void map_all(std::size_t size, Iterator first, Iterator last) {
    auto results = std::make_unique<Batch<U>>(size);
    results->append_all(first, last, [this](const auto& row) {
      return Record<U>{std::invoke(f_, row.value), row.time};
    });
    out_.emit(std::move(results));
  }

  F f_;
  Emitter<U>& out_;
};

// Keeps the records for which predicate(value) holds. A batch itself goes on, so nothing is copied;
// of a view what is kept is.
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
  [[nodiscard]] bool takes_views() const override { return std::is_copy_constructible_v<T>; }
  void on_view(int /*input*/, const AnyView& rows) override {
    if constexpr (std::is_copy_constructible_v<T>) {
      for (const auto& row : static_cast<const RowsView<T>&>(rows)) {
        if (std::invoke(predicate_, row.value)) out_.emit(row.value, row.time);
      }
    }
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
class FlatMapOperator final : public OneReadInput<T> {
 public:
  using Out = U;

  FlatMapOperator(OperatorContext& ctx, F f) : f_(std::move(f)), out_(ctx.output<U>(0)) {}

  void process(const RowsView<T>& rows) override {
    for (const auto& row : rows) {
      std::invoke(f_, row.value, [&](U value) { out_.emit(std::move(value), row.time); });
    }
  }

 private:
  F f_;
  Emitter<U>& out_;
};

}  // namespace tidemill
