// One subtask's share of one state: tables of (key, value), one per namespace, over the backend of
// the process. What KeyedValue, WindowedValue and their like are made of.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/operator/context.h"
#include "engine/operator/snapshot.h"
#include "state/backend.h"
#include "state/codec.h"
#include "state/key_encoding.h"
#include "state/memory_size.h"

namespace tidemill {

// A key and its hash, as prefetch takes them.
template <class K>
struct KeyRef {
  const K* key = nullptr;
  std::uint64_t hash = 0;
};

enum class Namespaces : std::uint8_t { kNone, kByTime };

// One thread. The backend outlives it; the context attaches it to every checkpoint, so it does not
// move.
template <class K, class V>
class KeyedStore final : public Snapshotable {
 public:
  static constexpr EventTime kOnly{};  // the namespace of a store without namespaces

  KeyedStore(OperatorContext& ctx, const std::string& name, std::string_view kind,
             Namespaces namespaces)
      : backend_(ctx.resources().get<Backend>()),
        id_(backend_.state_id({ctx.name(), name}, kind)),
        groups_(ctx.key_groups()),
        has_namespaces_(namespaces == Namespaces::kByTime) {
    load();
    ctx.attach(*this);
  }
  KeyedStore(const KeyedStore&) = delete;
  KeyedStore& operator=(const KeyedStore&) = delete;

  V& at(EventTime ns, const K& key, std::uint64_t hash) {
    Table& table = tables_[ns];
    Entry& entry = table.entries.try_emplace(key).first->second;
    entry.hash = hash;
    touch(ns, key, hash);
    return entry.value;
  }
  V* find(EventTime ns, const K& key, std::uint64_t = 0) {
    const auto table = tables_.find(ns);
    if (table == tables_.end()) return nullptr;
    const auto it = table->second.entries.find(key);
    return it == table->second.entries.end() ? nullptr : &it->second.value;
  }
  V* find_for_update(EventTime ns, const K& key, std::uint64_t hash) {
    V* value = find(ns, key);
    if (value != nullptr) touch(ns, key, hash);
    return value;
  }
  bool erase(EventTime ns, const K& key, std::uint64_t hash) {
    const auto table = tables_.find(ns);
    if (table == tables_.end() || table->second.entries.erase(key) == 0) return false;
    touch(ns, key, hash);
    if (table->second.entries.empty()) tables_.erase(table);
    return true;
  }
  void prefetch(EventTime, std::span<const KeyRef<K>>) {}

  [[nodiscard]] std::vector<EventTime> namespaces() const {
    std::vector<EventTime> all;
    for (const auto& [ns, _] : tables_) all.push_back(ns);
    return all;
  }

  template <class F>
  void for_each(EventTime ns, KeyGroup group, F&& fn) {
    const auto table = tables_.find(ns);
    if (table == tables_.end()) return;
    for (auto& [key, entry] : table->second.entries) {
      if (key_group_of(entry.hash, groups_.groups) != group) continue;
      if constexpr (std::is_invocable_v<F&, const K&, std::uint64_t, const V&>) {
        fn(key, entry.hash, std::as_const(entry.value));
      } else {
        touch(ns, key, entry.hash);
        fn(key, entry.hash, entry.value);
      }
    }
  }
  void drop(EventTime ns) {
    for (KeyGroup g = groups_.begin; g < groups_.end; ++g) drop(ns, g);
  }
  void drop(EventTime ns, KeyGroup group) {
    const auto table = tables_.find(ns);
    if (table == tables_.end()) return;
    for (auto it = table->second.entries.begin(); it != table->second.entries.end();) {
      if (key_group_of(it->second.hash, groups_.groups) == group) {
        touch(ns, it->first, it->second.hash);
        it = table->second.entries.erase(it);
      } else {
        ++it;
      }
    }
    if (table->second.entries.empty()) tables_.erase(table);
  }

  void freeze(CheckpointId id) override {
    frozen_id_ = id;
    for (const auto& [place, key] : dirty_) {
      const V* value = find(place.first, key);
      if (value == nullptr) {
        frozen_.erase(place.second);
      } else {
        Bytes bytes;
        Codec<V>::encode(bytes, *value);
        frozen_.put(place.second, bytes);
      }
    }
    dirty_.clear();
  }
  bool drain(StageSnapshot&, std::size_t) override {
    if (!frozen_.empty()) backend_.stage(frozen_id_, std::exchange(frozen_, SortedRun{}));
    return true;
  }

 private:
  struct Entry {
    V value{};
    std::uint64_t hash = 0;
  };
  struct Hash {
    std::size_t operator()(const K& key) const { return key_hash(key); }
  };
  struct Table {
    std::unordered_map<K, Entry, Hash> entries;
  };

  [[nodiscard]] Bytes prefix(EventTime ns) const {
    return has_namespaces_ ? key_prefix(id_, ns) : key_prefix(id_);
  }

  void touch(EventTime ns, const K& key, std::uint64_t hash) {
    Bytes bytes = prefix(ns);
    append_u64(bytes, hash);
    Codec<K>::encode(bytes, key);
    dirty_.try_emplace({ns, std::move(bytes)}, key);
  }

  void load() {
    const Bytes all = key_prefix(id_);
    backend_.scan({all, prefix_end(all)}, [&](ByteView key, ByteView value) {
      ByteReader in(key.substr(all.size()));
      const EventTime ns = has_namespaces_ ? EventTime{unordered(in.u64())} : kOnly;
      const std::uint64_t hash = in.u64();
      if (!groups_.contains(key_group_of(hash, groups_.groups))) return true;
      tables_[ns].entries.emplace(Codec<K>::decode(in), Entry{decode<V>(value), hash});
      return true;
    });
  }

  Backend& backend_;
  const StateId id_;
  const KeyGroupRange groups_;
  const bool has_namespaces_;
  std::map<EventTime, Table> tables_;
  std::map<std::pair<EventTime, Bytes>, K> dirty_;
  SortedRun frozen_;
  CheckpointId frozen_id_ = 0;
};

}  // namespace tidemill
