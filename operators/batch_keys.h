// The keys of a batch, each with its hash: the first pass of every keyed operator.
#pragma once

#include <functional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/data/batch.h"
#include "state/key_encoding.h"
#include "state/keyed_store.h"

namespace tidemill {

// Recycled from batch to batch. KeyOf is called once per record; the hash is the one the exchange
// carried, if it did. One thread.
template <class In, class KeyOf>
class BatchKeys {
 public:
  using Extracted = std::invoke_result_t<const KeyOf&, const In&>;
  using Key = std::remove_cvref_t<Extracted>;

  explicit BatchKeys(KeyOf key_of) : key_of_(std::move(key_of)) {}

  // Reads the keys of `batch`. What is returned is valid until the batch changes or the next call.
  std::span<const KeyRef<Key>> read(const Batch<In>& batch) {
    const std::size_t size = batch.size();
    refs_.resize(size);
    if constexpr (kByReference) {
      for (std::size_t i = 0; i < size; ++i) refs_[i].key = &std::invoke(key_of_, batch[i].value);
    } else {
      keys_.clear();
      keys_.reserve(size);
      for (std::size_t i = 0; i < size; ++i)
        refs_[i].key = &keys_.emplace_back(std::invoke(key_of_, batch[i].value));
    }
    if (batch.is_hashed()) {
      for (std::size_t i = 0; i < size; ++i) refs_[i].hash = batch.hash(i);
    } else {
      for (KeyRef<Key>& ref : refs_) ref.hash = key_hash(*ref.key);
    }
    return refs_;
  }

  [[nodiscard]] Extracted extract(const In& record) const { return std::invoke(key_of_, record); }

 private:
  static constexpr bool kByReference = std::is_lvalue_reference_v<Extracted>;

  const KeyOf key_of_;
  std::vector<Key> keys_;
  std::vector<KeyRef<Key>> refs_;
};

// Sets of keys of one batch.
template <class Key>
struct KeyRefHash {
  std::size_t operator()(const KeyRef<Key>& ref) const {
    return static_cast<std::size_t>(ref.hash);
  }
};
template <class Key>
struct KeyRefEqual {
  bool operator()(const KeyRef<Key>& a, const KeyRef<Key>& b) const {
    return a.hash == b.hash && *a.key == *b.key;
  }
};

}  // namespace tidemill
