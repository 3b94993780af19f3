// What flows: records of one type in batches. The type is erased once per batch; inside an
// operator's loop there are plain structs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/time.h"
#include "engine/data/batch_pool.h"

namespace tidemill {

// A user's event and its event time.
template <class T>
struct Record {
  T value;
  EventTime time;
};

class BatchBase {
 public:
  virtual ~BatchBase() = default;
  [[nodiscard]] virtual std::size_t size() const = 0;
  // Event time of the last record; EventTime::min() of none.
  [[nodiscard]] virtual EventTime last_time() const = 0;
};

// Owns a batch of any type. Whoever holds it may change it; it crosses threads only by moving
// through a channel.
using AnyBatch = std::unique_ptr<BatchBase>;

// Rows a batch should hold inside a task (about 8 KB, docs/architecture.md) and between tasks.
template <class T>
constexpr std::size_t kBatchRows = std::max<std::size_t>(16, 8192 / sizeof(Record<T>));
template <class T>
constexpr std::size_t kExchangeRows = std::clamp<std::size_t>(65536 / sizeof(Record<T>), 64, 1024);

template <class T>
class Batch final : public BatchBase {
 public:
  using value_type = Record<T>;

  Batch() = default;
  explicit Batch(std::size_t capacity) { records_.reserve(capacity); }
  // In memory of `home`, which gets it back wherever the batch ends.
  Batch(std::size_t capacity, std::shared_ptr<BatchPool<T>> home) : home_(std::move(home)) {
    BatchMemory<T> memory = home_->take(capacity);
    records_ = std::move(memory.records);
    hashes_ = std::move(memory.hashes);
  }
  ~Batch() override {
    if (home_) home_->give_back({std::move(records_), std::move(hashes_)});
  }
  Batch(const Batch& other) : BatchBase(other), records_(other.records_), hashes_(other.hashes_) {}
  Batch(Batch&& other) noexcept
      : records_(std::move(other.records_)),
        hashes_(std::move(other.hashes_)),
        home_(std::move(other.home_)) {}
  Batch& operator=(const Batch&) = delete;

  void append(T&& value, EventTime time) { records_.emplace_back(MovedRecord{value, time}); }
  void append(const T& value, EventTime time) { append(T(value), time); }
  // Adds make(row), a Record<T>, for each of the rows from `first` to `last`. One loop without a
  // check of the room left.
  template <class Iterator, class Make>
  void append_all(Iterator first, Iterator last, Make make) {
    records_.insert(records_.end(), MadeRecords<Iterator, Make>{first, &make},
                    MadeRecords<Iterator, Make>{last, &make});
  }
  // Adds a T{}, to be filled in.
  T& append_empty(EventTime time) {
    Record<T>& record = records_.emplace_back();
    record.time = time;
    return record.value;
  }
  // Adds a record whose key hash is known, so that the receiver need not hash again. Either all
  // records carry one or none.
  void append_hashed(T value, EventTime time, std::uint64_t hash) {
    append(std::move(value), time);
    hashes_.push_back(hash);
  }

  // Adds those of `from` that `rows` names, moved, with their hashes out of `hashes`.
  void append_moved(Batch& from, std::span<const std::uint32_t> rows,
                    std::span<const std::uint64_t> hashes) {
    append_all(rows.begin(), rows.end(),
               [&](std::uint32_t row) { return std::move(from.records_[row]); });
    const std::size_t size = hashes_.size();
    hashes_.resize(size + rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) hashes_[size + i] = hashes[rows[i]];
  }

  // Gives each record the hash of its key, `hash_of(value)`, whatever it had.
  template <class HashOf>
  void hash_by(HashOf hash_of) {
    hashes_.resize(records_.size());
    for (std::size_t i = 0; i < records_.size(); ++i)
      hashes_[i] = hash_of(std::as_const(records_[i].value));
  }

  [[nodiscard]] std::size_t size() const override { return records_.size(); }
  [[nodiscard]] EventTime last_time() const override {
    return records_.empty() ? EventTime::min() : records_.back().time;
  }
  [[nodiscard]] bool empty() const { return records_.empty(); }
  [[nodiscard]] bool is_hashed() const { return !hashes_.empty(); }
  [[nodiscard]] std::uint64_t hash(std::size_t i) const { return hashes_[i]; }
  void clear() {
    records_.clear();
    hashes_.clear();
  }

  Record<T>& operator[](std::size_t i) { return records_[i]; }
  const Record<T>& operator[](std::size_t i) const { return records_[i]; }
  auto begin() { return records_.begin(); }
  auto end() { return records_.end(); }
  auto begin() const { return records_.begin(); }
  auto end() const { return records_.end(); }

  // Drops the records for which `predicate(record)` holds, keeping order (and hashes in step).
  template <class Predicate>
  void erase_if(Predicate predicate) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < records_.size(); ++i) {
      if (predicate(records_[i])) continue;
      if (kept != i) {
        records_[kept] = std::move(records_[i]);
        if (!hashes_.empty()) hashes_[kept] = hashes_[i];
      }
      ++kept;
    }
    records_.erase(records_.begin() + static_cast<std::ptrdiff_t>(kept), records_.end());
    if (!hashes_.empty()) hashes_.resize(kept);
  }

 private:
  // Becomes a record where that is going to lie (CWG 2327; compilers without it move it once more).
  struct MovedRecord {
    operator Record<T>() const {  // NOLINT(google-explicit-constructor): that is what it is for
      return {std::move(value), time};
    }

    T& value;
    EventTime time;
  };
  // Iterates over rows and gives what `make` makes of them, so that a vector builds it in place.
  template <class Iterator, class Make>
  struct MadeRecords {
    using iterator_category = std::forward_iterator_tag;
    using value_type = Record<T>;
    using difference_type = std::ptrdiff_t;
    using pointer = const Record<T>*;
    using reference = Record<T>;

    Record<T> operator*() const { return std::invoke(*make, *at); }
    MadeRecords& operator++() {
      ++at;
      return *this;
    }
    bool operator==(const MadeRecords& other) const { return at == other.at; }

    Iterator at;
    Make* make;
  };

  std::vector<Record<T>> records_;
  std::vector<std::uint64_t> hashes_;
  std::shared_ptr<BatchPool<T>> home_;  // null: its memory is its own
};

}  // namespace tidemill
