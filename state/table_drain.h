// Copies out what a barrier froze, a bounded piece at a time, while the task goes on changing the
// tables.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "state/epochs.h"
#include "state/namespace_table.h"

namespace tidemill {

// One thread. An entry of the frozen epoch is copied by whoever comes first: the drain, or
// `copy_out` just before it is changed.
template <class K, class V>
class TableDrain {
 public:
  using Entry = typename Table<K, V>::Entry;
  using TablePtr = std::shared_ptr<NamespaceTable<K, V>>;

  TableDrain(Backend& backend, Epochs& epochs, const StateLayout& layout)
      : backend_(backend), epochs_(epochs), layout_(layout) {}

  // Begins with the epoch that was just frozen: the tables that changed in it, in the order of
  // their namespaces, and the deletions.
  void start(std::vector<TablePtr> tables, std::vector<KeyRange> deleted) {
    tables_ = std::move(tables);
    next_table_ = 0;
    for (KeyRange& range : deleted) run_.erase_range(std::move(range));
    open_table();
  }

  // Copies about `max_entries`; true when all is handed over.
  bool step(std::size_t max_entries) {
    for (std::size_t left = max_entries; left > 0;) {
      if (table_ == nullptr) {
        finish();
        return true;
      }
      if (at_ == notes_.size()) {
        next_segment();
        left -= std::min(left, 1 + notes_.size() / kSortedAsOne);
        continue;
      }
      const std::size_t from = at_;
      at_ = append_noted(run_, *encoder_, table_->table, notes_, at_, left, epochs_.frozen(),
                         [](Entry& e) { mark_copied(e); });
      left -= std::min(left, at_ - from);
      if (run_.bytes() >= kRunBytes)
        backend_.stage(epochs_.frozen_id(), std::exchange(run_, SortedRun{}));
    }
    return false;
  }

  // Keeps the frozen value of an entry that is about to change. Requires: it is of the frozen epoch
  // and not copied yet.
  void copy_out(EventTime ns, Entry& e, std::uint64_t hash) {
    if (!copy_encoder_ || copied_ns_ != ns) {
      copy_encoder_.emplace(layout_, ns);
      copied_ns_ = ns;
    }
    copy_encoder_->append(copied_, e, hash);
    mark_copied(e);
    if (copied_.size() >= kCopiedRows) stage_copied();
  }

  // True if the table has entries of the frozen epoch that are not copied yet, for all that is
  // known.
  [[nodiscard]] bool is_active() const { return epochs_.frozen() != 0; }

 private:
  static constexpr std::size_t kRunBytes = std::size_t{1} << 20;
  static constexpr std::size_t kCopiedRows = 1024;
  static constexpr std::size_t kSortedAsOne = 8;  // notes, for the work that one row is

  static void mark_copied(Entry& e) {
    e.set(Table<K, V>::kCopied);
    e.set(Table<K, V>::kStored);
  }

  void open_table() {
    encoder_.reset();
    notes_.clear();
    at_ = 0;
    next_hash_ = 0;
    is_last_segment_ = false;
    table_ = next_table_ < tables_.size() ? tables_[next_table_++] : nullptr;
    if (table_ != nullptr) encoder_.emplace(layout_, table_->ns);
  }
  void next_segment() {
    if (is_last_segment_) {
      open_table();
      return;
    }
    HashIndex::Segment& s = table_->table.index().segment(next_hash_);
    notes_ = s.take_changes(epochs_.frozen());
    at_ = 0;
    next_hash_ = HashIndex::end_hash(s);
    is_last_segment_ = next_hash_ == 0;
  }
  void stage_copied() {
    copied_.sort_rows();
    backend_.stage(epochs_.frozen_id(), std::exchange(copied_, SortedRun{}));
  }
  void finish() {
    if (!copied_.empty()) stage_copied();
    if (!run_.empty()) backend_.stage(epochs_.frozen_id(), std::exchange(run_, SortedRun{}));
    copy_encoder_.reset();
    tables_.clear();
    epochs_.end_drain();
  }

  Backend& backend_;
  Epochs& epochs_;
  const StateLayout& layout_;
  std::vector<TablePtr> tables_;
  std::size_t next_table_ = 0;
  TablePtr table_;  // the one being drained; null: none is left
  std::optional<RowEncoder<K, V>> encoder_;
  std::vector<std::uint64_t> notes_;  // of the segment being drained
  std::size_t at_ = 0;
  std::uint64_t next_hash_ = 0;  // where the next segment begins
  bool is_last_segment_ = false;
  SortedRun run_;
  SortedRun copied_;  // rows of entries that changed before the drain came by
  std::optional<RowEncoder<K, V>> copy_encoder_;
  EventTime copied_ns_{};
};

}  // namespace tidemill
