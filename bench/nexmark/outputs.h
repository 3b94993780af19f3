// Where the rows of a query go: counted, or into the order-free checksum (of the final table where
// rows revise each other), or to a connector's sink as lines of text.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "bench/nexmark/row_text.h"
#include "engine/operator/operator.h"
#include "operators/changelog.h"
#include "operators/stream.h"

namespace tidemill::nexmark {

// The row of a stream that revises itself says which row it replaces: `identity()`, a tuple of what
// row_text.h can print.
template <class Row>
std::string identity_text(const Row& row) {
  std::string text;
  std::apply([&](const auto&... parts) { RowText(text).fields(parts...); }, row.identity());
  return text;
}

// The sum of all subtasks. Thread-safe.
class Tally {
 public:
  void add(const RowChecksum& rows, std::int64_t weight = 0) {
    const std::lock_guard lock(mutex_);
    total_.merge(rows);
    weight_ += weight;
  }
  [[nodiscard]] std::int64_t rows() const { return total_.rows(); }
  [[nodiscard]] std::uint64_t checksum() const { return total_.sum(); }
  // Of all rows that have one (`weight()`).
  [[nodiscard]] std::int64_t weight() const { return weight_; }

 private:
  std::mutex mutex_;
  RowChecksum total_;
  std::int64_t weight_ = 0;
};

// Only counts: what the timed runs end in. Rows that came minus rows that went.
template <class Row>
class CountRows final : public OneInput<Row> {
 public:
  using Out = Row;  // none

  CountRows(OperatorContext& /*ctx*/, Tally* total) : total_(total) {}
  void process(Batch<Row>& batch) override {
    if constexpr (requires(Row row) { row.is_delete(); }) {
      for (const Record<Row>& record : batch) {
        rows_ += record.value.kind == ChangeKind::kInsert ? 1 : 0;
        rows_ -= record.value.kind == ChangeKind::kDelete ? 1 : 0;
      }
    } else {
      rows_ += static_cast<std::int64_t>(batch.size());
    }
  }
  Progress on_end() override {
    total_->add(RowChecksum(std::exchange(rows_, 0)));
    return Progress::kDone;
  }

 private:
  Tally* const total_;
  std::int64_t rows_ = 0;
};

template <class Row>
class CheckRows final : public OneInput<Row> {
 public:
  using Out = Row;  // none

  CheckRows(OperatorContext& /*ctx*/, Tally* total) : total_(total) {}
  void process(Batch<Row>& batch) override {
    for (const Record<Row>& record : batch) take(record.value);
  }
  Progress on_end() override {
    total_->add(std::exchange(rows_, {}), std::exchange(weight_, 0));
    return Progress::kDone;
  }

 private:
  template <class T>
  void take(const T& row) {
    rows_.add(rows_.hash_of(row));
    if constexpr (requires { row.weight(); }) weight_ += row.weight();
  }
  template <class T>
  void take(const Change<T>& change) {
    const std::string identity = identity_text(change.row);
    if (const auto former = table_.find(identity); former != table_.end()) {
      rows_.remove(former->second);
      table_.erase(former);
    }
    if (change.is_delete()) return;
    const std::uint64_t hash = rows_.hash_of(change.row);
    rows_.add(hash);
    table_.emplace(identity, hash);
  }

  Tally* const total_;
  RowChecksum rows_;
  std::int64_t weight_ = 0;
  std::unordered_map<std::string, std::uint64_t> table_;  // what the changes add up to
};

// A row as a line. One that revises others has its identity as the key, so that what belongs
// together stays in order, and is a line of three columns: `+` (it holds now) or `-` (it does not
// any more), identity, row.
template <class Row>
struct RowLine {
  void operator()(const Row& row, EventTime at, OutputBatch& out) const {
    out.begin_row();
    out.set_time(at);
    append_row(out.buffer(), row);
    out.end_row();
  }
};
template <class T>
struct RowLine<Change<T>> {
  void operator()(const Change<T>& change, EventTime at, OutputBatch& out) const {
    out.begin_row();
    out.set_time(at);
    const std::string identity = identity_text(change.row);
    out.buffer() += identity;
    out.end_key();
    out.buffer() += change.is_delete() ? "-\t" : "+\t";
    out.buffer() += identity;
    out.buffer() += '\t';
    append_row(out.buffer(), change.row);
    out.end_row();
  }
};

class Outputs {
 public:
  enum class Kind { kCount, kChecksum, kSink };

  Outputs(Kind kind, Tally& tally) : kind_(kind), tally_(&tally) {}
  explicit Outputs(SinkSpec sink) : kind_(Kind::kSink), sink_(std::move(sink)) {}

  template <class Row>
  void write(const Stream<Row>& rows) const {
    switch (kind_) {
      case Kind::kCount: rows.template process<CountRows<Row>>("rows", tally_); break;
      case Kind::kChecksum: rows.template process<CheckRows<Row>>("rows", tally_); break;
      case Kind::kSink: rows.as_events().sink_to("rows", *sink_, RowLine<Row>{}); break;
    }
  }

 private:
  Kind kind_;
  Tally* tally_ = nullptr;
  std::optional<SinkSpec> sink_;
};

}  // namespace tidemill::nexmark
