// One subtask's share of one state: tables of (key, value), one per namespace, over the backend of
// the process. What KeyedValue, WindowedValue and their like are made of.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/operator/context.h"
#include "engine/operator/snapshot.h"
#include "state/backend.h"
#include "state/codec.h"
#include "state/epochs.h"
#include "state/key_answer.h"
#include "state/keys_ahead.h"
#include "state/namespace_table.h"
#include "state/recent_entries.h"
#include "state/table_drain.h"
#include "state/table_loader.h"
#include "state/table_sweep.h"

namespace tidemill {

// One thread. The backend outlives it; the context attaches it to every checkpoint, so it does not
// move.
//
// Reads ask the table first and the backend on a miss; changes stay in the table until a checkpoint
// copies them out, or until memory is short. What is in the backend only is loaded when it is
// touched, so a restore reads nothing ahead.
//
// References into it end at the next `prefetch`, `give_back_memory`, `freeze` or `drain`: these
// give memory back, nothing else does.
template <class K, class V>
class KeyedStore final : public Snapshotable {
 public:
  static constexpr EventTime kOnly{};  // the namespace of a store without namespaces

  KeyedStore(OperatorContext& ctx, const std::string& name, std::string_view kind,
             Namespaces namespaces)
      : name_(name),
        backend_(ctx.resources().get<Backend>()),
        layout_{backend_.state_id({ctx.name(), name}, kind,
                                  {stored_type<K>(), stored_type<V>(), Mergeable<V>}),
                namespaces, ctx.key_groups()},
        loader_(backend_, epochs_, layout_),
        drain_(backend_, epochs_, layout_),
        sweep_(backend_, epochs_, layout_, tables_),
        memory_(ctx.gauge("tidemill_state_memory_bytes", {{"state", name}})),
        all_memory_(ctx.metrics().gauge("tidemill_state_memory_used_bytes")) {
    ctx.metrics()
        .gauge("tidemill_state_memory_budget_bytes")
        .set(static_cast<double>(backend_.budget().limit()));
    for (const EventTime ns : stored_namespaces(backend_, layout_)) {
      NsTable& t = table(ns);
      t.is_resident = false;
      t.is_stored = true;
    }
    ctx.attach(*this);
  }
  ~KeyedStore() override {
    backend_.budget().charge(-static_cast<std::int64_t>(charged_));
    note_hold(false);
    memory_.set(0);
  }
  KeyedStore(const KeyedStore&) = delete;
  KeyedStore& operator=(const KeyedStore&) = delete;

  // `place`, here and below: which of the keys of the last prefetch it is, which was of `ns`.
  V& at(EventTime ns, KeyView<K> key, std::uint64_t hash, PlaceAhead place = kNoPlace) {
    NsTable& t = table(ns);
    Found found = ahead_.find(t, key, hash, place);
    if (found.entry == nullptr || Loader::is_part(*found.entry)) [[unlikely]]
      found = load_or_insert(t, key, hash);
    return change(t, found, hash).value;
  }
  // Calls fn(i, V&) for each key, in order, as `at` would give it, and measures the value then.
  // Ends earlier references, as `prefetch` does. What the next keys need is fetched meanwhile.
  template <class F>
  void update(EventTime ns, std::span<const KeyRef<K>> keys, F&& fn) {
    give_back_memory();
    NsTable& t = table(ns);
    if (!t.is_resident) load(t, keys);
    update_each(t, keys, fn,
                [&](KeyView<K> key, std::uint64_t hash) { return load_or_insert(t, key, hash); });
  }
  // The same for a callback that adds to what it is given, and looks at nothing: it may be given
  // what was added to the value lately, perhaps nothing, instead of the value. Nothing is read
  // then.
  template <class F>
  void accumulate(EventTime ns, std::span<const KeyRef<K>> keys, F&& fn) {
    if (!loader_.takes_parts()) {
      update(ns, keys, fn);
      return;
    }
    give_back_memory();
    NsTable& t = table(ns);
    update_each(t, keys, fn,
                [&](KeyView<K> key, std::uint64_t hash) { return find_or_begin(t, key, hash); });
  }
  // Sees to it that the key has a value, for values that are all alike: the backend is not asked.
  // False if it is known to have one.
  bool add(EventTime ns, KeyView<K> key, std::uint64_t hash) {
    NsTable& t = table(ns);
    Found found = t.table.find(key, hash);
    if (found.entry == nullptr) {
      found = t.table.insert(key, hash);
      if (!t.is_resident) found.entry->set(T::kStored);
      ++t.num_live;
    } else if (!found.entry->has(T::kDeleted)) {
      return false;
    }
    change(t, found, hash);
    return true;
  }
  [[gnu::always_inline]] V* find(EventTime ns, KeyView<K> key, std::uint64_t hash,
                                 PlaceAhead place = kNoPlace) {
    const Found ahead = ahead_.at(ns, key, place);
    if (ahead.entry == nullptr || Loader::is_part(*ahead.entry)) [[unlikely]]
      return search(ns, key, hash, place);
    return value_of(ahead);
  }
  V* find_for_update(EventTime ns, KeyView<K> key, std::uint64_t hash,
                     PlaceAhead place = kNoPlace) {
    NsTable* t = existing_table(ns);
    if (t == nullptr) return nullptr;
    const Found found = find_or_load(*t, key, hash, place);
    if (found.entry == nullptr || found.entry->has(T::kDeleted)) return nullptr;
    return &change(*t, found, hash).value;
  }
  bool erase(EventTime ns, KeyView<K> key, std::uint64_t hash, PlaceAhead place = kNoPlace) {
    NsTable* t = existing_table(ns);
    if (t == nullptr) return false;
    const Found found = find_or_load(*t, key, hash, place);
    if (found.entry == nullptr || found.entry->has(T::kDeleted)) return false;
    erase_found(*t, found, hash);
    if (t->num_live == 0 && t->is_resident && t->table.size() == 0) forget(ns);
    return true;
  }

  // Loads what is not in memory, all at once, and warms the cache for the rest.
  void prefetch(EventTime ns, std::span<const KeyRef<K>> keys) {
    give_back_memory();
    NsTable* t = existing_table(ns);
    ahead_.forget();
    if (t == nullptr || (t->is_resident && t->table.size() == 0)) return;
    if (!t->is_resident) {
      for (const KeyRef<K>& k : keys) t->table.prefetch_slot(k.hash);
      load(*t, keys);
    }
    if (recent_.begin(t->table)) {
      ahead_.look_at(*t, keys, recent_);
    } else {
      ahead_.look_at(*t, keys);
    }
  }

  // The end of all references, as a prefetch is: buries what the backend knows to be dead, and
  // makes room if the process holds too much.
  void give_back_memory() override {
    if (epochs_.update(backend_)) {
      note_hold(epochs_.is_holding());
      for (const auto& [_, t] : tables_) t->forget_linked(epochs_.linked());
    }
    measure_touched();
    for (const Grave& marker : markers_) bury(marker);
    markers_.clear();
    for (int n = 0; n < kMostBuried && !graves_.empty() && bury(graves_.front()); ++n)
      graves_.pop_front();
    charge();
    if (const std::size_t excess = backend_.budget().excess(charged_); excess > 0) {
      sweep_.give_back(excess, charged_, deleted_);
      charge();
    }
  }

  // What its owner holds in memory besides, charged as if it were in the tables.
  void charge_besides(std::size_t bytes) { besides_ = bytes; }

  // Nothing has to be read for the namespace's keys.
  [[nodiscard]] bool is_in_memory(EventTime ns) {
    const NsTable* t = existing_table(ns);
    return t == nullptr || t->is_resident;
  }
  // Those with a live key, and those whose rows in the backend nobody has looked at.
  [[nodiscard]] std::vector<EventTime> namespaces() const {
    std::vector<EventTime> all;
    for (const auto& [ns, t] : tables_)
      if (t->num_live > 0 || !t->is_resident) all.push_back(ns);
    return all;
  }

  // Visits the keys of a group; with a callback that takes V& each counts as a write.
  template <class F>
  void for_each(EventTime ns, KeyGroup group, F&& fn) {
    for_each(ns, group, layout_.hashes_of(group), fn);
  }
  // The same for those of the group's hashes that are in a range, both ends included.
  template <class F>
  void for_each(EventTime ns, KeyGroup group, HashRange hashes, F&& fn) {
    constexpr bool kReads = std::is_invocable_v<F&, const K&, std::uint64_t, const V&>;
    NsTable* t = existing_table(ns);
    if (t == nullptr) return;
    const typename Loader::Reading reading(loader_);
    if (!t->is_resident && !t->is_dropped(group))
      loader_.template scan<kReads>(*t, layout_.range(ns, group, hashes), reading, fn);
    const auto [first, last] = hashes;
    typename Traits::Scratch scratch;
    t->table.for_each_in_range(first, last, [&](std::uint32_t number, Entry& e) {
      if (e.has(T::kDeleted)) return;
      const std::uint64_t hash = T::hash_of(e);
      if (kReads && Loader::is_part(e)) {
        if constexpr (kReads)
          Loader::give_rest(*t, e, hash, reading,
                            [&](const V& rest) { fn(Traits::lend(e.key, scratch), hash, rest); });
      } else if constexpr (kReads) {
        fn(Traits::lend(e.key, scratch), hash, std::as_const(e.value));
      } else {
        if (Loader::is_part(e)) loader_.complete(*t, e, hash, std::nullopt, reading);
        change(*t, {&e, number}, hash);
        fn(Traits::lend(e.key, scratch), hash, e.value);
      }
    });
  }

  void drop(EventTime ns) {
    NsTable* t = existing_table(ns);
    if (t == nullptr) return;
    if (may_be_stored(*t)) deleted_.push_back(layout_.range(ns));
    forget(ns);
  }
  void drop(EventTime ns, KeyGroup group) {
    NsTable* t = existing_table(ns);
    if (t == nullptr) return;
    const bool is_stored = may_be_stored(*t);
    std::vector<std::uint32_t> numbers;
    const auto [first, last] = layout_.hashes_of(group);
    t->table.for_each_in_range(first, last,
                               [&](std::uint32_t number, Entry&) { numbers.push_back(number); });
    measure_touched();
    for (const std::uint32_t number : numbers) {
      Entry& e = t->table.entry(number);
      const std::uint64_t hash = T::hash_of(e);
      keep_frozen(*t, e, hash);
      if (!e.has(T::kDeleted)) --t->num_live;
      t->table.remove(number, hash);
    }
    t->drop_former(first, last);
    if (is_stored) {
      deleted_.push_back(layout_.range(ns, group));
      t->note_dropped(group, epochs_.current());
    }
    if (t->table.size() == 0 && (t->is_resident || t->dropped.size() == layout_.groups.size()))
      forget(ns);
  }

  void answer(StateQuery& query) override {
    if (query.state == name_) answer_key<K, V>(loader_, layout_, tables_, query);
  }
  void freeze(CheckpointId id) override {
    while (drain_.is_active())
      drain_.step(1 << 16);  // the caller should have waited; nothing may be lost
    epochs_.freeze(id);
    note_hold(true);
    std::vector<std::shared_ptr<NsTable>> changed;
    for (const auto& [_, t] : tables_)
      if (t->table.changed_epoch() == epochs_.frozen()) changed.push_back(t);
    drain_.start(std::move(changed), std::exchange(deleted_, {}));
  }
  bool drain(StageSnapshot&, std::size_t max_entries) override {
    give_back_memory();
    if (!drain_.is_active()) return true;
    return backend_.has_stage_room() && drain_.step(max_entries);
  }

 private:
  using T = Table<K, V>;
  using NsTable = NamespaceTable<K, V>;
  using Loader = TableLoader<K, V>;
  using Traits = KeyTraits<K>;
  using Entry = typename T::Entry;
  using Found = typename T::Found;
  struct Grave {
    std::uint32_t number;
    std::uint64_t hash;
    EventTime ns;
  };

  // The value of an entry that is read; null if there is none.
  static V* value_of(const Found& found) {
    if (found.entry == nullptr || found.entry->has(T::kDeleted)) return nullptr;
    found.entry->set(T::kReferenced);
    return &found.entry->value;
  }
  [[gnu::noinline]] V* search(EventTime ns, KeyView<K> key, std::uint64_t hash, PlaceAhead place) {
    NsTable* t = existing_table(ns);
    return t == nullptr ? nullptr : value_of(find_or_load(*t, key, hash, place));
  }
  NsTable* existing_table(EventTime ns) {
    if (last_ != nullptr && last_->ns == ns) return last_;
    const auto it = tables_.find(ns);
    if (it == tables_.end()) return nullptr;
    return last_ = it->second.get();
  }
  NsTable& table(EventTime ns) {
    if (NsTable* t = existing_table(ns); t != nullptr) return *t;
    auto& made = tables_[ns];
    made = std::make_shared<NsTable>(backend_.budget().pool(), ns, epochs_.current(),
                                     layout_.hashes());
    return *(last_ = made.get());
  }
  void forget(EventTime ns) {
    measure_touched();
    last_ = nullptr;
    ahead_.forget();
    recent_.forget();
    tables_.erase(ns);
  }
  [[nodiscard]] bool may_be_stored(const NsTable& t) const {
    return t.is_stored || t.created < epochs_.current();
  }

  // on_miss(key, hash): the entry of a key that is not in the table, or made anew.
  template <class F, class OnMiss>
  [[gnu::always_inline]] void update_each(NsTable& t, std::span<const KeyRef<K>> keys, F& fn,
                                          OnMiss&& on_miss) {
    const auto update_one = [&](std::size_t i, const Found& found) {
      Entry& e = mark_changed(t, found, keys[i].hash);
      fn(i, e.value);
      if constexpr (kHasHeap<V>) t.table.measure(e);
    };
    if (recent_.begin(t.table)) {
      recent_.find_each(keys, on_miss, update_one);
    } else {
      t.table.find_each(keys, on_miss, update_one);
    }
  }

  // Makes an entry part of the running epoch, and alive. Who calls this measures its value.
  [[gnu::always_inline]] Entry& mark_changed(NsTable& t, const Found& found, std::uint64_t hash) {
    Entry& e = *found.entry;
    if (e.epoch != epochs_.current() || e.has(T::kDeleted)) [[unlikely]]
      mark_first_change(t, found, hash);
    e.set(T::kReferenced);
    return e;
  }
  [[gnu::noinline]] void mark_first_change(NsTable& t, const Found& found, std::uint64_t hash) {
    Entry& e = *found.entry;
    if (e.epoch != epochs_.current()) {
      keep_frozen(t, e, hash);
      if (Loader::is_part(e)) loader_.begin_part(t, e, hash);
      e.epoch = epochs_.current();
      e.clear(T::kCopied);
      t.table.mark_changed(found.number, hash, e.epoch);
    }
    if (!e.has(T::kDeleted)) return;
    e.clear(T::kDeleted);
    e.value = V{};
    ++t.num_live;
  }
  // The same; the value is measured some time before the references end.
  Entry& change(NsTable& t, const Found& found, std::uint64_t hash) {
    Entry& e = mark_changed(t, found, hash);
    if constexpr (kHasHeap<V>) {  // a key's own does not change
      if (touched_.size() == kMostTouched) measure_touched();
      if (touched_.empty() || touched_.back() != std::pair(&t, found.number))
        touched_.emplace_back(&t, found.number);
    }
    return e;
  }
  // Copies out the value that the running checkpoint needs, if it is still in the entry.
  void keep_frozen(NsTable& t, Entry& e, std::uint64_t hash) {
    if (drain_.is_active() && e.epoch == epochs_.frozen() && !e.has(T::kCopied))
      drain_.copy_out(t.ns, e, hash);
  }

  void erase_found(NsTable& t, const Found& found, std::uint64_t hash) {
    Entry& e = *found.entry;
    if (e.epoch == epochs_.current() && !e.has(T::kStored)) {
      // Made since the last barrier: nobody else has heard of it.
      --t.num_live;
      measure_touched();
      t.table.remove(found.number, hash);
      return;
    }
    change(t, found, hash);
    e.set(T::kDeleted);
    e.value = V{};
    --t.num_live;
    graves_.push_back({found.number, hash, t.ns});
  }

  [[gnu::always_inline]] Found find_or_load(NsTable& t, KeyView<K> key, std::uint64_t hash,
                                            PlaceAhead place = kNoPlace) {
    const Found found = ahead_.find(t, key, hash, place);
    if (found.entry != nullptr && !Loader::is_part(*found.entry)) [[likely]]
      return found;
    if (found.entry == nullptr && t.is_resident) return found;
    return load_one(t, found, key, hash);
  }
  [[gnu::noinline]] Found load_one(NsTable& t, const Found& found, KeyView<K> key,
                                   std::uint64_t hash) {
    if (found.entry != nullptr) {
      loader_.complete(t, *found.entry, hash);
      return found;
    }
    if (t.is_dropped(layout_.group_of(hash))) return found;
    return loader_.load(t, key, hash);
  }
  Found load_or_insert(NsTable& t, KeyView<K> key, std::uint64_t hash) {
    Found found = find_or_load(t, key, hash);
    if (found.entry == nullptr) {
      found = t.table.insert(key, hash);
      ++t.num_live;
    }
    return found;
  }
  // An entry to add to, without looking into the backend.
  Found find_or_begin(NsTable& t, KeyView<K> key, std::uint64_t hash) {
    Found found = t.table.find(key, hash);
    if (found.entry != nullptr) return found;
    found = t.table.insert(key, hash);
    if (!t.is_resident && !t.is_dropped(layout_.group_of(hash))) {
      if (!std::exchange(has_parts_, true)) backend_.note_parts(layout_.id);
      found.entry->set(T::kPart);
      found.entry->set(T::kStored);
    }
    ++t.num_live;
    return found;
  }
  void load(NsTable& t, std::span<const KeyRef<K>> keys) {
    loader_.load(t, keys, [&](std::uint32_t number, std::uint64_t hash) {
      markers_.push_back({number, hash, t.ns});
    });
  }
  // False if its entry has to stay: the backend does not know yet, neither by a checkpoint nor by a
  // spill.
  bool bury(const Grave& grave) {
    NsTable* t = existing_table(grave.ns);
    if (t == nullptr || !t->table.holds(grave.number, grave.hash)) return true;
    const Entry& e = t->table.entry(grave.number);
    if (!e.has(T::kDeleted)) return true;
    if (e.epoch > epochs_.linked()) return false;
    t->table.remove(grave.number, grave.hash);
    return true;
  }
  void measure_touched() {
    if constexpr (kHasHeap<V>) {
      for (const auto& [t, number] : touched_) t->table.measure(t->table.entry(number));
      touched_.clear();
    }
  }
  // Tells the budget whether this store has to keep what has changed.
  void note_hold(bool is_holding) {
    if (std::exchange(is_hold_noted_, is_holding) == is_holding) return;
    is_holding ? backend_.budget().begin_hold() : backend_.budget().end_hold();
  }
  void charge() {
    std::size_t bytes = besides_ + graves_.size() * sizeof(Grave);
    for (const auto& [_, t] : tables_) bytes += t->bytes();
    backend_.budget().charge(static_cast<std::int64_t>(bytes) -
                             static_cast<std::int64_t>(charged_));
    charged_ = bytes;
    memory_.set(static_cast<double>(bytes));
    all_memory_.set(static_cast<double>(backend_.budget().used()));
  }

  static constexpr std::size_t kMostTouched = 4096;
  static constexpr int kMostBuried = 8192;  // in one batch

  const std::string name_;
  Backend& backend_;
  const StateLayout layout_;
  Epochs epochs_;
  Tables<K, V> tables_;
  NsTable* last_ = nullptr;        // the table of the last look-up
  std::vector<KeyRange> deleted_;  // ranges dropped in the running epoch
  std::deque<Grave> graves_;       // deleted entries, until the backend knows
  std::vector<Grave> markers_;     // of this batch: entries that say that the backend has nothing
  std::vector<std::pair<NsTable*, std::uint32_t>> touched_;  // entries that are to be measured
  KeysAhead<K, V> ahead_;
  RecentEntries<K, V> recent_;
  std::size_t charged_ = 0;
  std::size_t besides_ = 0;
  bool is_hold_noted_ = false;
  bool has_parts_ = false;  // and the backend knows
  Loader loader_;
  TableDrain<K, V> drain_;
  TableSweep<K, V> sweep_;
  Gauge& memory_;
  Gauge& all_memory_;
};

}  // namespace tidemill
