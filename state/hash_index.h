// From a key's hash to the number of its entry. Slots are in the order of the hashes, cut into
// segments by the hash's top bits; a full segment splits alone, so that no insertion ever waits for
// a whole table to be rebuilt.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "state/block_pool.h"
#include "state/prefetch.h"

namespace tidemill {

// The entry numbers that changed in one segment, each with the tag of its hash: (tag << 32 |
// number). Two epochs: the running one, and the frozen one until a checkpoint has copied it out.
struct ChangeList {
  std::vector<std::uint64_t> changed;
  std::vector<std::uint64_t> frozen;
  // Most entries have: who wants to know which looks at all of them.
  bool is_most_changed = false;
  bool is_most_frozen = false;
  std::uint32_t epoch = 0;  // of `changed`

  // `count`: of the segment's entries.
  void add(std::uint32_t tag, std::uint32_t number, std::uint32_t current, std::uint32_t count) {
    if (epoch != current) advance(current);
    if (is_most_changed) return;
    if (changed.size() >= kFew && changed.size() > count / 2) {
      is_most_changed = true;
      changed = std::vector<std::uint64_t>();  // `= {}` would keep its memory
    } else {
      changed.push_back((static_cast<std::uint64_t>(tag) << 32) | number);
    }
  }

 private:
  static constexpr std::size_t kFew = 64;

  void advance(std::uint32_t current) {
    frozen = std::exchange(changed, {});
    is_most_frozen = std::exchange(is_most_changed, false);
    epoch = current;
  }
};

// Brings notes into the order of their tags; those of one tag come in any order.
void sort_notes(std::vector<std::uint64_t>& notes);

// One thread. Equal tags (the hash's top 32 bits) are told apart by the caller.
//
// A subtask owns a part of the hashes only: slots are laid out for that part, or entries would
// crowd in a part of them. Hashes outside of it work, slowly.
class HashIndex {
 public:
  struct OwnedHashes {
    std::uint64_t first = 0;
    std::uint64_t last = ~std::uint64_t{0};  // included
  };
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  static constexpr int kTail = 4;  // slots that a look-up reads at once

  // Where the slots of a segment are; all that a look-up needs.
  struct Slots {
    std::uint64_t* begin = nullptr;
    std::uint64_t scale = 0;      // slots per tag, times 2^32
    std::uint32_t first_tag = 0;  // of those that the segment may have
    std::uint32_t num_more = 0;   // tags behind the first one

    [[nodiscard]] std::uint64_t* home(std::uint32_t tag) const {
      const std::uint32_t at = std::min(std::max(tag, first_tag) - first_tag, num_more);
      return begin + ((at * scale) >> 32);
    }
  };

  struct Segment {
    // tag << 32 | number, sorted by tag where not empty; the last kTail are always empty.
    Slots slots;
    std::uint32_t num_slots = 0;
    std::uint32_t num_homes = 0;  // of the slots; the others take what overflows at the end
    std::uint32_t depth = 0;      // how many top bits all hashes of the segment share
    std::uint32_t count = 0;
    std::uint64_t first_hash = 0;
    ChangeList changes;

    // Takes notes of what changed in `epoch`, which is the running one or the one before it, in the
    // order of their tags. Others may be among them.
    [[nodiscard]] std::vector<std::uint64_t> take_changes(std::uint32_t epoch);
  };

  explicit HashIndex(BlockPool& pool) : HashIndex(pool, OwnedHashes{}) {}
  HashIndex(BlockPool& pool, OwnedHashes owned);
  ~HashIndex();
  HashIndex(const HashIndex&) = delete;
  HashIndex& operator=(const HashIndex&) = delete;

  static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }
  [[nodiscard]] Segment& segment(std::uint64_t hash) const { return *directory_[place_of(hash)]; }
  // The first hash behind the segment; 0: it is the last one.
  static std::uint64_t end_hash(const Segment& s) {
    return s.first_hash + (std::uint64_t{1} << 63 >> s.depth << 1);
  }

  // The number for which same(number) holds, among those with the tag of `hash`; kNone if there is
  // none.
  template <class Same>
  [[nodiscard]] std::uint32_t find(std::uint64_t hash, Same&& same) const {
    const std::uint64_t first = std::uint64_t{tag_of(hash)} << 32;  // no slot of this tag is less
    const std::uint64_t* slot = first_slot(hash, first);
    for (;; ++slot) {
      // Of another tag it differs above the number; kNone is no number.
      const std::uint64_t number = *slot - first;
      if (number >= kNone) return kNone;
      if (same(static_cast<std::uint32_t>(number))) return static_cast<std::uint32_t>(number);
    }
  }
  // Reads ahead: the slots of `hash` into the cache, and the number a find would look at first.
  [[gnu::always_inline]] void prefetch(std::uint64_t hash) const {
    prefetch_line(slots_[place_of(hash)].home(tag_of(hash)));
  }
  [[gnu::always_inline]] [[nodiscard]] std::uint32_t guess(std::uint64_t hash) const {
    const std::uint64_t first = std::uint64_t{tag_of(hash)} << 32;
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(*first_slot(hash, first) - first, kNone));
  }

  // Requires: `number` is not there, and is not kNone.
  void insert(std::uint64_t hash, std::uint32_t number);
  // Requires: it is there.
  void erase(std::uint64_t hash, std::uint32_t number);
  void clear();

  // Calls fn(number, tag) for the tags of the hashes in [first, last], in their order. The index
  // must not change meanwhile.
  template <class Fn>
  void for_each(std::uint64_t first, std::uint64_t last, Fn&& fn) const {
    const std::uint32_t first_tag = tag_of(first);
    const std::uint32_t last_tag = tag_of(last);
    for (std::uint64_t hash = first;;) {
      const Segment& s = segment(hash);
      const std::uint64_t* slot = hash == first ? s.slots.home(first_tag) : s.slots.begin;
      for (const std::uint64_t* end = s.slots.begin + s.num_slots; slot != end; ++slot) {
        if (*slot == kEmpty) continue;
        const auto tag = static_cast<std::uint32_t>(*slot >> 32);
        if (tag < first_tag) continue;
        if (tag > last_tag) return;
        fn(static_cast<std::uint32_t>(*slot), tag);
      }
      hash = end_hash(s);
      if (hash == 0 || hash > last) return;
    }
  }

  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};

  [[nodiscard]] std::size_t place_of(std::uint64_t hash) const {
    return (hash >> 1) >> (63 - depth_);
  }
  // The first slot that is not less than `first`, the least of the hash's tag.
  [[gnu::always_inline]] const std::uint64_t* first_slot(std::uint64_t hash,
                                                         std::uint64_t first) const {
    const std::uint64_t* slot = slots_[place_of(hash)].home(tag_of(hash));
    // How far a hash lies from its home is not to be predicted, so the slots before it are counted
    // without a branch, four at a time.
    for (int before = kTail; before == kTail; slot += before) {
      before = 0;
      for (int i = 0; i < kTail; ++i) before += static_cast<int>(slot[i] < first);
    }
    return slot;
  }
  // Tells the directory where a segment is.
  void enter(Segment& s);
  void make_room(Segment& s);
  void split(Segment& s);
  void rebuild(Segment& s, std::uint32_t num_slots, std::uint32_t num_homes);
  // Fills empty `s` with sorted slots; false if they do not fit.
  static bool fill(Segment& s, const std::uint64_t* begin, const std::uint64_t* end);
  void allocate_and_fill(Segment& s, std::uint32_t num_slots, std::uint32_t num_homes,
                         const std::uint64_t* begin, const std::uint64_t* end);
  void allocate_slots(Segment& s, std::uint32_t num_slots, std::uint32_t num_homes);
  void release_slots(std::uint64_t* slots, std::uint32_t num_slots);

  BlockPool& pool_;
  const OwnedHashes owned_;
  std::uint32_t depth_ = 0;
  // By the hash's top `depth_` bits; what look-ups need lies apart, close together.
  std::vector<Slots> slots_;
  std::vector<Segment*> directory_;
  std::vector<std::unique_ptr<Segment>> segments_;
  std::size_t bytes_ = 0;
};

}  // namespace tidemill
