// The hot copy of one namespace of one state: an index of hashes and dense entries in chunks that
// do not move, so that references hold while a batch inserts. It knows keys, values and epochs;
// what is stored, evicted or checkpointed is its owner's business.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "state/block_pool.h"
#include "state/hash_index.h"
#include "state/key_encoding.h"
#include "state/prefetch.h"
#include "state/stored_key.h"

namespace tidemill {

// One thread.
template <class K, class V>
class Table {
 public:
  using Traits = KeyTraits<K>;
  static constexpr std::uint32_t kNone = HashIndex::kNone;
  static constexpr bool kHasHeap = Traits::kMayHaveHeap || tidemill::kHasHeap<V>;

  enum Flag : std::uint8_t {
    kUsed = 1,
    kReferenced = 2,  // touched since the sweep last came by
    kDeleted =
        4,  // erased; kept until the backend knows, or to remember that the backend has nothing
    kStored = 8,   // the backend may have a row of this key
    kCopied = 16,  // the value of the frozen epoch is on its way to the backend
    kPart = 32,    // the value is what was added in `epoch`; the rest is not here (parts.h)
    kSeen = 64,    // only while a scan runs: the backend has a row of this key
  };

  // In an order that makes one cache line of a short text and 32 bytes.
  struct Entry {
    std::uint32_t epoch;  // of the last change; 0: none since it was read. Unused entries: the next
                          // unused one of the chunk
    RoughSize heap;
    std::uint8_t flags;
    typename Traits::Stored key;
    V value;

    [[nodiscard]] bool has(Flag f) const { return (flags & f) != 0; }
    void set(Flag f) { flags |= f; }
    void clear(Flag f) { flags &= static_cast<std::uint8_t>(~f); }
  };

  struct Found {
    Entry* entry = nullptr;
    std::uint32_t number = kNone;
  };

  explicit Table(BlockPool& pool, HashIndex::OwnedHashes owned = {})
      : pool_(pool), index_(pool, owned) {}
  ~Table() {
    for (std::size_t c = 0; c < chunks_.size(); ++c) {
      if (bases_[c] == nullptr) continue;
      if constexpr (!kIsTrivial) {
        for_each_in_chunk(c, [](std::uint32_t, Entry& e) { destroy(e); });
      }
      pool_.release(bases_[c], kChunkBytes);
    }
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  [[nodiscard]] Entry& entry(std::uint32_t number) const {
    return bases_[number >> kPlaceBits][number & kPlaceMask];
  }

  // Where the entry of a note is, for prefetching only: it may be gone.
  [[nodiscard]] const void* address(std::uint64_t note) const {
    const auto number = static_cast<std::uint32_t>(note);
    Entry* const base = bases_[number >> kPlaceBits];
    return base == nullptr ? nullptr : base + (number & kPlaceMask);
  }

  // Deleted entries are found too.
  [[nodiscard]] Found find(KeyView<K> key, std::uint64_t hash) const {
    Found found;
    found.number = index_.find(hash, [&](std::uint32_t number) {
      Entry& e = entry(number);
      found.entry = &e;
      return Traits::view(e.key) == key;
    });
    if (found.number == kNone) found.entry = nullptr;
    return found;
  }
  [[gnu::always_inline]] void prefetch_slot(std::uint64_t hash) const { index_.prefetch(hash); }
  // Returns the number of the entry that probably is the one.
  [[gnu::always_inline]] std::uint32_t prefetch_entry(std::uint64_t hash) const {
    const std::uint32_t number = index_.guess(hash);
    if (number == kNone) return kNone;
    prefetch(number);
    return number;
  }
  // Calls fn(i, found) for each key, in order; what is not there is what on_miss(key, hash)
  // returns. What the next keys need is fetched meanwhile.
  template <class OnMiss, class F>
  [[gnu::always_inline]] void find_each(std::span<const KeyRef<K>> keys, OnMiss&& on_miss, F&& fn) {
    constexpr std::size_t kSlotsAhead = 32;
    constexpr std::size_t kEntriesAhead = 16;
    std::array<std::uint32_t, kEntriesAhead> numbers;
    const auto look = [&](std::size_t i) {
      numbers[i % kEntriesAhead] = prefetch_entry(keys[i].hash);
    };
    for (std::size_t i = 0; i < std::min(kSlotsAhead, keys.size()); ++i)
      prefetch_slot(keys[i].hash);
    for (std::size_t i = 0; i < std::min(kEntriesAhead, keys.size()); ++i) look(i);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const KeyView<K> key = *keys[i].key;
      Found found{nullptr, numbers[i % kEntriesAhead]};
      if (i + kSlotsAhead < keys.size()) prefetch_slot(keys[i + kSlotsAhead].hash);
      if (i + kEntriesAhead < keys.size()) look(i + kEntriesAhead);
      if (found.number != kNone) found.entry = &entry(found.number);
      if (found.entry == nullptr || Traits::view(found.entry->key) != key) [[unlikely]]
        found = on_miss(key, keys[i].hash);
      fn(i, found);
    }
  }
  // Numbers stay what they are while this does.
  [[nodiscard]] std::uint64_t num_removals() const { return num_removals_; }

  // Makes an entry with value V{}, epoch 0 and no flags but kUsed. Requires: the key has none.
  Found insert(KeyView<K> key, std::uint64_t hash) {
    const std::uint32_t number = allocate();
    Entry& e = entry(number);
    new (&e.key) typename Traits::Stored(key);
    new (&e.value) V{};
    e.epoch = 0;
    e.heap = {};
    e.flags = kUsed;
    index_.insert(hash, number);
    ++size_;
    if constexpr (kHasHeap) measure(e);
    return {&e, number};
  }
  void remove(std::uint32_t number, std::uint64_t hash) {
    ++num_removals_;
    Entry& e = entry(number);
    index_.erase(hash, number);
    heap_bytes_ -= e.heap.bytes();
    destroy(e);
    release(number);
    --size_;
  }
  // Brings the heap bytes of an entry up to date.
  void measure(Entry& e) {
    const RoughSize now(Traits::heap_size(e.key) + memory_size(e.value));
    if (now == e.heap) return;
    heap_bytes_ -= e.heap.bytes();
    e.heap = now;
    heap_bytes_ += e.heap.bytes();
  }

  // Notes the first change of an entry in an epoch.
  void mark_changed(std::uint32_t number, std::uint64_t hash, std::uint32_t epoch) {
    HashIndex::Segment& s = index_.segment(hash);
    s.changes.add(HashIndex::tag_of(hash), number, epoch, s.count);
    changed_epoch_ = epoch;
  }
  // True if a note of `epoch` still speaks of the entry it was made for, and the value of that
  // epoch is still in it.
  [[nodiscard]] bool is_current(std::uint64_t note, std::uint32_t epoch) const {
    const auto number = static_cast<std::uint32_t>(note);
    if (!is_used(number)) return false;
    const Entry& e = entry(number);
    return e.epoch == epoch && !e.has(kCopied) &&
           HashIndex::tag_of(hash_of(e)) == static_cast<std::uint32_t>(note >> 32);
  }
  // True if there is an entry with this number, also if another one had it before.
  [[nodiscard]] bool is_used(std::uint32_t number) const {
    if (number >> kPlaceBits >= chunks_.size()) return false;  // of a former table of its name
    const Chunk& chunk = chunks_[number >> kPlaceBits];
    const std::uint32_t place = number & kPlaceMask;
    return place < chunk.num_touched && entry(number).has(kUsed);
  }
  // True if the number is still that of an entry with this hash.
  [[nodiscard]] bool holds(std::uint32_t number, std::uint64_t hash) const {
    return is_used(number) && hash_of(entry(number)) == hash;
  }
  static std::uint64_t hash_of(const Entry& e) { return key_hash(Traits::view(e.key)); }

  [[nodiscard]] HashIndex& index() { return index_; }
  [[nodiscard]] std::uint32_t changed_epoch() const { return changed_epoch_; }

  // Calls fn(number, entry) for the used entries of a chunk; fn may remove that entry.
  template <class Fn>
  void for_each_in_chunk(std::size_t chunk, Fn&& fn) {
    for (std::uint32_t place = 0; place < chunks_[chunk].num_touched; ++place) {
      Entry& e = bases_[chunk][place];
      if (e.has(kUsed)) fn((static_cast<std::uint32_t>(chunk) << kPlaceBits) | place, e);
    }
  }
  // Calls fn(number, entry) for the entries whose hash lies in [first, last], in the order of the
  // hashes' top bits; deleted ones too.
  template <class Fn>
  void for_each_in_range(std::uint64_t first, std::uint64_t last, Fn&& fn) {
    // Entries lie anywhere, so each is asked for some steps ahead.
    constexpr std::size_t kAhead = 16;
    std::array<std::pair<std::uint32_t, std::uint32_t>, kAhead> asked;
    std::size_t num_asked = 0;
    const auto visit = [&](std::size_t at) {
      const auto [number, tag] = asked[at % kAhead];
      Entry& e = entry(number);
      const bool is_edge = tag == HashIndex::tag_of(first) || tag == HashIndex::tag_of(last);
      if (is_edge) {
        const std::uint64_t hash = hash_of(e);
        if (hash < first || hash > last) return;
      }
      fn(number, e);
    };
    index_.for_each(first, last, [&](std::uint32_t number, std::uint32_t tag) {
      if (num_asked >= kAhead) visit(num_asked);
      prefetch(number);
      asked[num_asked++ % kAhead] = {number, tag};
    });
    for (std::size_t at = num_asked - std::min(num_asked, kAhead); at < num_asked; ++at) visit(at);
  }

  [[nodiscard]] std::size_t num_chunks() const { return chunks_.size(); }
  [[nodiscard]] bool is_sparse(std::size_t chunk) const {
    return chunks_[chunk].num_used * 4U < kPerChunk;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  // Bytes in use; holes in chunks, which the next insertions fill, are not counted.
  [[nodiscard]] std::size_t bytes() const {
    return size_ * sizeof(Entry) + heap_bytes_ + index_.bytes();
  }

 private:
  static constexpr bool kIsTrivial = std::is_trivially_destructible_v<typename Traits::Stored> &&
                                     std::is_trivially_destructible_v<V>;
  static constexpr std::size_t round_up(std::size_t n, std::size_t unit) {
    return (n + unit - 1) / unit * unit;
  }
  static constexpr std::size_t kChunkBytes =
      round_up(std::max<std::size_t>(16384, 8 * sizeof(Entry)), BlockPool::kUnit);
  static constexpr std::uint32_t kPerChunk =
      static_cast<std::uint32_t>(kChunkBytes / sizeof(Entry));
  static constexpr std::uint32_t kPlaceBits = std::bit_width(kPerChunk - 1);
  static constexpr std::uint32_t kPlaceMask = (1U << kPlaceBits) - 1;
  static constexpr std::uint32_t kEnd = 0xFFFFFFFF;
  static_assert(alignof(Entry) <= BlockPool::kUnit);

  struct Chunk {
    std::uint32_t first_free = kEnd;
    std::uint16_t num_used = 0;
    std::uint16_t num_touched = 0;  // entries from here on were never used
    bool is_listed = false;         // in `with_room_`
  };

  static void destroy(Entry& e) {
    e.value.~V();
    std::destroy_at(&e.key);
    e.flags = 0;
  }

  void prefetch(std::uint32_t number) const {
    const char* at = reinterpret_cast<const char*>(&entry(number));
    prefetch_line(at);
    // Also of a small entry half may lie in the next line, and of a larger one a third.
    prefetch_line(at + std::min<std::size_t>(sizeof(Entry) - 1, 64));
    if constexpr (sizeof(Entry) > 72)
      prefetch_line(at + std::min<std::size_t>(sizeof(Entry) - 1, 128));
  }
  std::uint32_t allocate() {
    while (!with_room_.empty()) {
      const std::uint32_t c = with_room_.back();
      Chunk& chunk = chunks_[c];
      if (bases_[c] != nullptr && chunk.num_used < kPerChunk) return take_place(c);
      chunk.is_listed = false;
      with_room_.pop_back();
    }
    std::uint32_t c = 0;
    if (!without_memory_.empty()) {
      c = without_memory_.back();
      without_memory_.pop_back();
    } else {
      c = static_cast<std::uint32_t>(chunks_.size());
      TM_CHECK(c < (kNone >> kPlaceBits));
      chunks_.emplace_back();
      bases_.push_back(nullptr);
    }
    Chunk& chunk = chunks_[c];
    bases_[c] = static_cast<Entry*>(pool_.allocate(kChunkBytes));
    chunk.first_free = kEnd;
    chunk.num_touched = 0;
    list(c);
    return take_place(c);
  }
  std::uint32_t take_place(std::uint32_t c) {
    Chunk& chunk = chunks_[c];
    std::uint32_t place = 0;
    if (chunk.first_free != kEnd) {
      place = chunk.first_free;
      chunk.first_free = bases_[c][place].epoch;
    } else {
      place = chunk.num_touched++;
    }
    ++chunk.num_used;
    return (c << kPlaceBits) | place;
  }
  void release(std::uint32_t number) {
    const std::uint32_t c = number >> kPlaceBits;
    Chunk& chunk = chunks_[c];
    const std::uint32_t place = number & kPlaceMask;
    bases_[c][place].epoch = chunk.first_free;
    chunk.first_free = place;
    if (--chunk.num_used == 0) {
      pool_.release(std::exchange(bases_[c], nullptr), kChunkBytes);
      chunk.num_touched = 0;
      without_memory_.push_back(c);
    } else {
      list(c);
    }
  }
  void list(std::uint32_t c) {
    if (!std::exchange(chunks_[c].is_listed, true)) with_room_.push_back(c);
  }

  BlockPool& pool_;
  HashIndex index_;
  std::vector<Entry*> bases_;  // of the chunks; null: given back
  std::vector<Chunk> chunks_;
  std::vector<std::uint32_t>
      with_room_;  // chunks that have places left, and some that do not any more
  std::vector<std::uint32_t>
      without_memory_;  // numbers of chunks whose memory went back to the pool
  std::size_t size_ = 0;
  std::size_t heap_bytes_ = 0;
  std::uint64_t num_removals_ = 0;
  std::uint32_t changed_epoch_ = 0;
};

}  // namespace tidemill
