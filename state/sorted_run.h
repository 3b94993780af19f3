// A batch of changes on its way from a state object into a backend.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "state/key_encoding.h"

namespace tidemill {

// A batch of changes in key order: range deletions, which come first, then puts, parts and
// deletions of single keys.
class SortedRun {
 public:
  struct Row {
    ByteView key;
    ByteView value;
    bool is_delete = false;
    bool is_part = false;  // of the value: the store merges it with what it has
  };

  // Requires: keys come in strictly ascending order, or sort_rows is called after the last one.
  void put(ByteView key, ByteView value) { append({key, value}); }
  void put_part(ByteView key, ByteView value) { append({key, value, false, true}); }
  void erase(ByteView key) { append({key, {}, true}); }
  // Deletes what the store holds in the range, not what this run puts there.
  void erase_range(KeyRange range) { ranges_.push_back(std::move(range)); }

  // Requires: no key comes twice.
  void sort_rows();
  // Appends the rows of another run. Requires: they come after all of this one's.
  void append(const SortedRun& other) {
    for (std::size_t i = 0; i < other.size(); ++i) append(other.row(i));
  }
  // Keeps the range deletions only.
  void clear_rows() {
    bytes_ = Bytes();
    places_ = std::vector<Place>();
  }

  [[nodiscard]] bool empty() const { return places_.empty() && ranges_.empty(); }
  [[nodiscard]] std::size_t size() const { return places_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_.size() + places_.size() * sizeof(Place); }
  [[nodiscard]] Row row(std::size_t i) const {
    const Place& p = places_[i];
    const ByteView all(bytes_);
    const std::size_t key_size = p.key_size & kSizeMask;
    return {all.substr(p.at, key_size), all.substr(p.at + key_size, p.value_size & kSizeMask),
            (p.value_size & kMark) != 0, (p.key_size & kMark) != 0};
  }
  [[nodiscard]] const std::vector<KeyRange>& ranges() const { return ranges_; }

 private:
  struct Place {
    std::uint64_t at;
    std::uint32_t key_size;    // marked: a part
    std::uint32_t value_size;  // marked: a deletion
  };
  static constexpr std::uint32_t kMark = 1U << 31;
  static constexpr std::uint32_t kSizeMask = kMark - 1;

  void append(const Row& row) {
    if (row.key.size() > kSizeMask || row.value.size() > kSizeMask)
      throw Error(ErrorCode::kInternal, "state value is larger than 2 GiB");
    places_.push_back({bytes_.size(),
                       static_cast<std::uint32_t>(row.key.size()) | (row.is_part ? kMark : 0),
                       static_cast<std::uint32_t>(row.value.size()) | (row.is_delete ? kMark : 0)});
    bytes_.append(row.key);
    bytes_.append(row.value);
  }

  Bytes bytes_;
  std::vector<Place> places_;
  std::vector<KeyRange> ranges_;
};

// Visits the rows of all runs in key order. Requires: no two runs have a key in common.
void merge_rows(std::span<const SortedRun> runs,
                const std::function<void(const SortedRun::Row&)>& visit);

// The union of the ranges, as few as possible, in key order.
[[nodiscard]] std::vector<KeyRange> merge_ranges(std::span<const SortedRun> runs);

}  // namespace tidemill
