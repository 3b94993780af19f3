// Brings what the backend has into tables, and puts together what is partly there and partly here
// (parts.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "state/backend.h"
#include "state/epochs.h"
#include "state/namespace_table.h"
#include "state/parts.h"

namespace tidemill {

// One thread.
template <class K, class V>
class TableLoader {
 public:
  using T = Table<K, V>;
  using NsTable = NamespaceTable<K, V>;
  using Entry = typename T::Entry;
  using Found = typename T::Found;

  TableLoader(Backend& backend, const Epochs& epochs, const StateLayout& layout)
      : backend_(backend), epochs_(epochs), layout_(layout) {
    if constexpr (Mergeable<V>) takes_parts_ = backend_.take_parts(layout.id, merge_parts_of<V>);
  }

  [[nodiscard]] bool takes_parts() const { return takes_parts_; }
  [[nodiscard]] static bool is_part(const Entry& e) {
    if constexpr (Mergeable<V>) {
      return e.has(T::kPart);
    } else {
      return false;
    }
  }

  // What the backend has, to be read together with the parts that it does not show.
  class Reading {
   public:
    explicit Reading(const TableLoader& loader)
        : rows_(&loader.backend_), shown_(loader.epochs_.linked()) {
      if (!loader.takes_parts_) return;
      view_ = loader.backend_.view();
      rows_ = view_.get();
      shown_ = loader.epochs_.shown_by(*view_);
    }
    [[nodiscard]] const StoredRows& rows() const { return *rows_; }

    // Adds to `whole`, which the backend has, what it does not show of the entry.
    void add_rest(const NsTable& t, const Entry& e, std::uint64_t hash,
                  std::optional<V>& whole) const requires Mergeable<V> {
      for (const typename NsTable::Former& f : t.former) {
        if (f.epoch <= shown_) continue;
        const Found part = f.parts.find(KeyTraits<K>::view(e.key), hash);
        if (part.entry != nullptr) add_part(whole, V(part.entry->value));
      }
      if (e.epoch > shown_) add_part(whole, V(e.value));
    }

   private:
    std::shared_ptr<const Backend::View> view_;
    const StoredRows* rows_;
    std::uint32_t shown_;
  };

  // The entry, made of the key's row; none if there is no row. Requires: the table has none.
  Found load(NsTable& t, KeyView<K> key, std::uint64_t hash) {
    if (!backend_.get(RowEncoder<K, V>(layout_, t.ns).key(key, hash), read_)) return {};
    return insert(t, key, hash, read_);
  }
  Found insert(NsTable& t, KeyView<K> key, std::uint64_t hash, ByteView value) {
    const Found found = t.table.insert(key, hash);
    fill(t, *found.entry, decode_value<V>(value));
    return found;
  }
  // Reads the keys of a batch that are not in memory. For one that the backend does not have either
  // an entry is made that says so: note(number, hash).
  template <class Note>
  void load(NsTable& t, std::span<const KeyRef<K>> keys, Note&& note) {
    RowEncoder<K, V> encoder(layout_, t.ns);
    missing_.clear();
    for (const KeyRef<K>& k : keys) {
      Found found = t.table.find(*k.key, k.hash);
      if (found.entry == nullptr) {
        found = t.table.insert(*k.key, k.hash);
        found.entry->set(T::kDeleted);
        note(found.number, k.hash);
        if (t.is_dropped(layout_.group_of(k.hash))) continue;
      } else if (!is_part(*found.entry)) {
        continue;
      }
      missing_.emplace_back(encoder.key(*k.key, k.hash), found.number);
    }
    std::ranges::sort(missing_);
    if constexpr (Mergeable<V>)  // a part is missing as often as the batch asks for it
      missing_.erase(std::unique(missing_.begin(), missing_.end()), missing_.end());
    std::vector<ByteView> wanted(missing_.size());
    for (std::size_t i = 0; i < missing_.size(); ++i) wanted[i] = missing_[i].first;
    const Reading reading(*this);
    reading.rows().multi_get(wanted, [&](std::size_t i, ByteView value) {
      Entry& e = t.table.entry(missing_[i].second);
      if (is_part(e)) {
        complete(t, e, T::hash_of(e), decode_value<V>(value), reading);
      } else {
        e.clear(T::kDeleted);
        fill(t, e, decode_value<V>(value));
      }
    });
    if constexpr (Mergeable<V>) {
      for (const auto& missing : missing_) {
        Entry& e = t.table.entry(missing.second);
        if (is_part(e)) complete(t, e, T::hash_of(e), std::nullopt, reading);
      }
    }
  }
  // Makes the value of an entry that is a part whole.
  void complete(NsTable& t, Entry& e, std::uint64_t hash) {
    const Reading reading(*this);
    std::optional<V> stored;
    RowEncoder<K, V> encoder(layout_, t.ns);
    if (reading.rows().get(encoder.key(KeyTraits<K>::view(e.key), hash), read_))
      stored = decode_value<V>(read_);
    complete(t, e, hash, std::move(stored), reading);
  }
  void complete(NsTable& t, Entry& e, std::uint64_t hash, std::optional<V> stored,
                const Reading& reading) {
    if constexpr (Mergeable<V>) {
      reading.add_rest(t, e, hash, stored);
      e.value = std::move(stored).value_or(V{});
      e.clear(T::kPart);
      if constexpr (T::kHasHeap) t.table.measure(e);
    }
  }
  // The key's value as bytes, for whoever only looks: nothing is loaded. False: it has none.
  [[nodiscard]] bool encode_content(const NsTable& t, KeyView<K> key, std::uint64_t hash,
                                    Bytes& out) const {
    const Entry* const e = t.table.find(key, hash).entry;
    if (e != nullptr && !is_part(*e)) {
      if (e->has(T::kDeleted)) return false;
      encode(out, e->value);
      return true;
    }
    const Reading reading(*this);
    const bool is_stored = !t.is_resident && !t.is_dropped(layout_.group_of(hash)) &&
                           reading.rows().get(RowEncoder<K, V>(layout_, t.ns).key(key, hash), out);
    if constexpr (Mergeable<V>) {
      std::optional<V> whole;
      if (is_stored) whole = decode_value<V>(out);
      if (e != nullptr) reading.add_rest(t, *e, hash, whole);
      out.clear();
      if (whole) encode(out, *whole);
      return whole.has_value();
    }
    return is_stored;
  }
  // The entry's part is on its way to the backend: begins the next one.
  void begin_part(NsTable& t, Entry& e, std::uint64_t hash) {
    if (e.epoch > epochs_.linked()) {
      auto former = std::ranges::find(t.former, e.epoch, &NsTable::Former::epoch);
      if (former == t.former.end())
        former = t.former.emplace(
            std::ranges::find_if(t.former, [&](const auto& f) { return f.epoch > e.epoch; }),
            e.epoch, backend_.budget().pool());
      const Found kept = former->parts.insert(KeyTraits<K>::view(e.key), hash);
      kept.entry->value = std::move(e.value);
      if constexpr (T::kHasHeap) former->parts.measure(*kept.entry);
    }
    e.value = V{};
  }

  // Calls fn(key, hash, value) for the rows of a range that the table has nothing newer of, with
  // what the table adds to them; or, if it does not only read, brings them into the table.
  template <bool kReads, class F>
  void scan(NsTable& t, const KeyRange& range, const Reading& reading, F& fn) {
    const std::size_t prefix_size = layout_.prefix(t.ns).size();
    reading.rows().scan(range, [&](ByteView stored_key, ByteView value) {
      ByteReader in(stored_key.substr(prefix_size));
      const std::uint64_t hash = in.u64();
      const K key = Codec<K>::decode(in);
      Entry* const e = t.table.find(key, hash).entry;
      if (e != nullptr && !is_part(*e)) return true;  // newer, or deleted
      if constexpr (kReads) {
        std::optional<V> whole = decode_value<V>(value);
        if constexpr (Mergeable<V>) {
          if (e != nullptr) {
            reading.add_rest(t, *e, hash, whole);
            e->set(T::kSeen);
          }
        }
        fn(key, hash, std::as_const(*whole));
      } else if (e != nullptr) {
        complete(t, *e, hash, decode_value<V>(value), reading);
      } else {
        insert(t, key, hash, value);
      }
      return true;
    });
  }
  // What is only here of a part: fn(rest), if the scan has not given it with its row.
  template <class F>
  static void give_rest(const NsTable& t, Entry& e, std::uint64_t hash, const Reading& reading,
                        F&& fn) {
    if constexpr (Mergeable<V>) {
      std::optional<V> rest;
      if (!e.has(T::kSeen)) reading.add_rest(t, e, hash, rest);
      e.clear(T::kSeen);
      if (rest) fn(std::as_const(*rest));
    }
  }

 private:
  void fill(NsTable& t, Entry& e, V value) {
    e.value = std::move(value);
    e.set(T::kStored);
    e.set(T::kReferenced);
    if constexpr (T::kHasHeap) t.table.measure(e);
    ++t.num_live;
  }

  Backend& backend_;
  const Epochs& epochs_;
  const StateLayout& layout_;
  bool takes_parts_ = false;
  std::vector<std::pair<Bytes, std::uint32_t>> missing_;  // key of the row, number of the entry
  Bytes read_;
};

}  // namespace tidemill
