// The typed ends of edges that leave a task: rows are copied once into one batch per receiver, the
// key's hash beside them. A batch all of whose rows have one receiver is not copied unless it is
// small.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/graph/graph.h"
#include "engine/operator/key_group.h"
#include "engine/runtime/channel.h"
#include "engine/runtime/hot_keys.h"

namespace tidemill {

// Shared by the partitionings: one open batch per target; signals go to all.
template <class T>
class ExchangeBase : public ExchangeOutlet {
 public:
  explicit ExchangeBase(std::vector<Channel*> targets)
      : targets_(std::move(targets)), open_(targets_.size()) {}

  void push(const Signal& signal) override {
    flush();
    for (Channel* target : targets_) target->push(Message(signal));
  }
  [[nodiscard]] bool is_blocked() const override {
    for (const Channel* target : targets_) {
      if (target->is_full()) return true;
    }
    return false;
  }
  void flush() override {
    for (std::size_t i = 0; i < open_.size(); ++i) {
      if (open_[i] && !open_[i]->empty()) targets_[i]->push(Message(std::move(open_[i])));
    }
  }

 protected:
  Batch<T>& open(std::size_t target) {
    if (!open_[target]) open_[target] = std::make_unique<Batch<T>>(kExchangeRows<T>, pool_);
    return *open_[target];
  }
  void push_if_full(std::size_t target) {
    if (open_[target]->size() >= kExchangeRows<T>)
      targets_[target]->push(Message(std::move(open_[target])));
  }
  [[nodiscard]] std::size_t size() const { return targets_.size(); }

  std::vector<Channel*> targets_;

 private:
  std::vector<std::unique_ptr<Batch<T>>> open_;
  const std::shared_ptr<BatchPool<T>> pool_ = std::make_shared<BatchPool<T>>();
};

// The stable hash of what may decide a subtask here: integers and strings.
struct StableHash {
  template <class K>
  std::uint64_t operator()(const K& key) const {
    return stable_hash(key);
  }
};

// HashFn: the hash under which state keeps the key.
template <class T, class KeyFn, class HashFn = StableHash>
class KeyExchange final : public ExchangeBase<T> {
 public:
  KeyExchange(std::vector<Channel*> targets, std::uint32_t key_groups, KeyFn key)
      : ExchangeBase<T>(std::move(targets)), key_groups_(key_groups), key_(std::move(key)) {
    for (KeyGroup group = 0; group < key_groups; ++group) {
      target_of_group_.push_back(static_cast<std::uint32_t>(
          subtask_of(group, key_groups, static_cast<int>(this->size()))));
    }
  }
  using ExchangeBase<T>::push;

  // With one receiver nobody works more than the others.
  void meter(MetricRegistry& metrics, const Labels& labels) override {
    if (this->size() > 1)
      hot_keys_.emplace(metrics.ranking("tidemill_exchange_key_share", labels,
                                        "Share of the records sent that have this key, of the "
                                        "hottest keys (2 % and more)"));
  }

  void push(AnyBatch any) override {
    auto& batch = static_cast<Batch<T>&>(*any);
    if (this->size() == 1 && batch.size() >= kBatchRows<T> / 2) {
      this->flush();  // the small ones before it
      batch.hash_by([this](const T& value) { return hash_of(value); });
      this->targets_[0]->push(Message(std::move(any)));
      return;
    }
    if (hot_keys_) look_for_hot_keys(batch);
    hash(batch);
    if (this->size() <= kFewTargets) {
      for (std::size_t target = 0; target < this->size(); ++target)
        send(batch, target, pick(batch.size(), target));
    } else {
      sort_by_target(batch.size());
      for (std::size_t target = 0; target < this->size(); ++target)
        send(batch, target, sorted(target));
    }
  }

 private:
  static constexpr std::size_t kFewTargets = 4;

  using Given = std::decay_t<std::invoke_result_t<const KeyFn&, const T&>>;
  using Key = std::conditional_t<std::is_same_v<Given, std::string_view>, std::string, Given>;

  [[nodiscard]] std::uint64_t hash_of(const T& value) const {
    return HashFn{}(std::invoke(key_, value));
  }
  // And whose each row is.
  void hash(const Batch<T>& batch) {
    const std::size_t size = batch.size();
    if (hashes_.size() < size) {
      hashes_.resize(size);
      target_of_.resize(size);
      picked_.resize(size + 1);
    }
    for (std::size_t i = 0; i < size; ++i) {
      hashes_[i] = hash_of(batch[i].value);
      target_of_[i] = target_of_group_[key_group_of(hashes_[i], key_groups_)];
    }
  }
  // The rows of one target. Whose the next one is cannot be predicted: no branch depends on it, and
  // no load of a place that was just stored.
  std::span<const std::uint32_t> pick(std::size_t size, std::size_t target) {
    std::uint32_t* const picked = picked_.data();
    const std::uint32_t* const target_of = target_of_.data();
    std::size_t count = 0;
    for (std::size_t i = 0; i < size; ++i) {
      picked[count] = static_cast<std::uint32_t>(i);
      count += target_of[i] == target ? 1 : 0;
    }
    return {picked, count};
  }
  // The same for all of many, whose places the next row seldom shares with the last one.
  void sort_by_target(std::size_t size) {
    ends_.assign(this->size() + 1, 0);
    for (std::size_t i = 0; i < size; ++i) ++ends_[target_of_[i] + 1];
    for (std::size_t target = 0; target < this->size(); ++target)
      ends_[target + 1] += ends_[target];
    for (std::size_t i = 0; i < size; ++i)
      picked_[ends_[target_of_[i]]++] = static_cast<std::uint32_t>(i);
  }
  [[nodiscard]] std::span<const std::uint32_t> sorted(std::size_t target) const {
    const std::uint32_t begin = target == 0 ? 0 : ends_[target - 1];
    return {picked_.data() + begin, ends_[target] - begin};
  }
  void send(Batch<T>& batch, std::size_t target, std::span<const std::uint32_t> rows) {
    while (!rows.empty()) {
      Batch<T>& open = this->open(target);
      const auto now = rows.first(std::min(rows.size(), kExchangeRows<T> - open.size()));
      open.append_moved(batch, now, hashes_);
      this->push_if_full(target);
      rows = rows.subspan(now.size());
    }
  }
  void look_for_hot_keys(const Batch<T>& batch) {
    std::size_t i = 0;
    for (; batch.size() - i > hot_keys_->next(); ++i) {
      i += hot_keys_->next();
      const Key& key = Key(std::invoke(key_, batch[i].value));
      hot_keys_->look_at(key, HashFn{}(key));
    }
    hot_keys_->skip(batch.size() - i);
  }

  const std::uint32_t key_groups_;
  const KeyFn key_;
  std::vector<std::uint32_t> target_of_group_;
  std::optional<HotKeys<Key>> hot_keys_;
  // Of the batch at hand.
  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint32_t> target_of_;
  std::vector<std::uint32_t> picked_;
  std::vector<std::uint32_t> ends_;
};

// Each record to the receiver that `choose(value, number of receivers)` names.
template <class T, class Choose>
class PartitionExchange final : public ExchangeBase<T> {
 public:
  PartitionExchange(std::vector<Channel*> targets, Choose choose)
      : ExchangeBase<T>(std::move(targets)), choose_(std::move(choose)) {}
  using ExchangeBase<T>::push;

  void push(AnyBatch any) override {
    for (auto& record : static_cast<Batch<T>&>(*any)) {
      const std::size_t target = std::invoke(choose_, std::as_const(record.value), this->size());
      if (target >= this->size()) {
        throw Error(ErrorCode::kUser,
                    "a partitioner chose a subtask that does not exist: " + std::to_string(target) +
                        " of " + std::to_string(this->size()));
      }
      this->open(target).append(std::move(record.value), record.time);
      this->push_if_full(target);
    }
  }

 private:
  Choose choose_;
};

// Whole batches to one receiver after the other (or always the same one, for an edge onto a single
// subtask or a forward edge).
template <class T>
class RebalanceExchange final : public ExchangeBase<T> {
 public:
  RebalanceExchange(std::vector<Channel*> targets, std::size_t first)
      : ExchangeBase<T>(std::move(targets)), next_(first % this->size()) {}
  using ExchangeBase<T>::push;

  void push(AnyBatch any) override {
    this->targets_[next_]->push(Message(std::move(any)));
    next_ = (next_ + 1) % this->size();
  }

 private:
  std::size_t next_;
};

// Always the same receiver, although signals go to all: a forward edge that could not be chained.
template <class T>
class ForwardExchange final : public ExchangeBase<T> {
 public:
  explicit ForwardExchange(Channel* target) : ExchangeBase<T>({target}) {}
  using ExchangeBase<T>::push;
  void push(AnyBatch any) override { this->targets_[0]->push(Message(std::move(any))); }
};

template <class T>
class BroadcastExchange final : public ExchangeBase<T> {
 public:
  explicit BroadcastExchange(std::vector<Channel*> targets) : ExchangeBase<T>(std::move(targets)) {}
  using ExchangeBase<T>::push;

  void push(AnyBatch any) override {
    const auto& batch = static_cast<const Batch<T>&>(*any);
    for (Channel* target : this->targets_) target->push(Message(std::make_unique<Batch<T>>(batch)));
  }
};

}  // namespace tidemill
