#include "state/hash_index.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "engine/base/error.h"

namespace tidemill {
namespace {

constexpr std::uint32_t kFirstSlots = 16;
constexpr std::uint32_t kMostSlots =
    1U << 15;                             // 256 KiB: split and rebuilt in well under a millisecond
constexpr std::uint32_t kMostDepth = 20;  // leaves 12 bits of the tag to order a segment by

// Slots behind the last home, for what overflows there.
constexpr std::uint32_t spare(std::uint32_t num_slots) {
  return std::clamp<std::uint32_t>(num_slots / 4, 4, 64);
}

bool is_crowded(const HashIndex::Segment& s) { return s.count + 1 > s.num_homes / 4 * 3; }

}  // namespace

void sort_notes(std::vector<std::uint64_t>& notes) {
  if (notes.size() < 512) {
    std::ranges::sort(notes);
    return;
  }
  // By digits of 11 bits, lowest first; std::sort takes five to ten times as long.
  constexpr std::size_t kDigits = std::size_t{1} << 11;
  std::vector<std::uint64_t> other(notes.size());
  for (int shift = 32; shift < 64; shift += 11) {
    std::array<std::uint32_t, kDigits> starts{};
    for (const std::uint64_t n : notes) ++starts[(n >> shift) % kDigits];
    if (starts[(notes.front() >> shift) % kDigits] == notes.size()) continue;
    std::uint32_t next = 0;
    for (std::uint32_t& start : starts) next += std::exchange(start, next);
    for (const std::uint64_t n : notes) other[starts[(n >> shift) % kDigits]++] = n;
    notes.swap(other);
  }
}

HashIndex::HashIndex(BlockPool& pool) : pool_(pool) { clear(); }

HashIndex::~HashIndex() {
  for (const auto& s : segments_) release_slots(*s);
}

void HashIndex::clear() {
  for (const auto& s : segments_) release_slots(*s);
  segments_.clear();
  depth_ = 0;
  segments_.push_back(std::make_unique<Segment>());
  allocate_slots(*segments_.back(), kFirstSlots, kFirstSlots - spare(kFirstSlots));
  directory_.assign(1, segments_.back().get());
}

void HashIndex::insert(std::uint64_t hash, std::uint32_t number) {
  const std::uint32_t tag = tag_of(hash);
  const std::uint64_t wanted = (static_cast<std::uint64_t>(tag) << 32) | number;
  for (;;) {
    Segment& s = segment(hash);
    if (is_crowded(s)) {
      make_room(s);
      continue;
    }
    std::uint64_t* at = s.slots + s.home(tag);
    while (*at != kEmpty && (*at >> 32) <= tag) ++at;
    std::uint64_t* empty = at;
    while (*empty != kEmpty) ++empty;
    if (empty == s.slots + s.num_slots - 1) {
      make_room(s);
      continue;
    }
    std::memmove(at + 1, at, static_cast<std::size_t>(empty - at) * sizeof *at);
    *at = wanted;
    ++s.count;
    return;
  }
}

void HashIndex::erase(std::uint64_t hash, std::uint32_t number) {
  Segment& s = segment(hash);
  const std::uint32_t tag = tag_of(hash);
  const std::uint64_t wanted = (static_cast<std::uint64_t>(tag) << 32) | number;
  std::uint64_t* at = s.slots + s.home(tag);
  while (*at != wanted) {
    TM_CHECK(*at != kEmpty);
    ++at;
  }
  // Pulls back what was displaced, up to the next one that is at home.
  for (std::uint64_t* next = at + 1;; ++next) {
    if (*next == kEmpty || s.slots + s.home(static_cast<std::uint32_t>(*next >> 32)) == next) {
      *(next - 1) = kEmpty;
      break;
    }
    *(next - 1) = *next;
  }
  --s.count;
}

void HashIndex::make_room(Segment& s) {
  // Few entries and yet no room: many hashes agree in all the bits we order by. Longer runs are all
  // that helps.
  if (s.count < s.num_homes / 4) {
    rebuild(s, s.num_slots * 2, s.num_homes);
  } else if (s.num_slots < kMostSlots || s.depth >= kMostDepth) {
    rebuild(s, s.num_slots * 2, s.num_slots * 2 - spare(s.num_slots * 2));
  } else {
    split(s);
  }
}

void HashIndex::rebuild(Segment& s, std::uint32_t num_slots, std::uint32_t num_homes) {
  Segment old;
  old.slots = s.slots;
  old.num_slots = s.num_slots;
  allocate_and_fill(s, num_slots, num_homes, old.slots, old.slots + old.num_slots);
  release_slots(old);
}

void HashIndex::split(Segment& s) {
  if (s.depth == depth_) {
    std::vector<Segment*> doubled(directory_.size() * 2);
    for (std::size_t i = 0; i < doubled.size(); ++i) doubled[i] = directory_[i / 2];
    directory_ = std::move(doubled);
    ++depth_;
  }
  Segment old;
  old.slots = s.slots;
  old.num_slots = s.num_slots;
  old.num_homes = s.num_homes;
  ++s.depth;
  const std::uint64_t half = std::uint64_t{1} << (64 - s.depth);
  segments_.push_back(std::make_unique<Segment>());
  Segment& right = *segments_.back();
  right.depth = s.depth;
  right.first_hash = s.first_hash + half;
  for (std::size_t i = (right.first_hash >> 1) >> (63 - depth_),
                   n = std::size_t{1} << (depth_ - right.depth);
       n > 0; ++i, --n) {
    directory_[i] = &right;
  }
  const std::uint64_t first_right = static_cast<std::uint64_t>(tag_of(right.first_hash)) << 32;
  const auto is_left = [first_right](std::uint64_t slot) { return slot < first_right; };

  // The halves are found by the order of the slots, empty ones left aside.
  const std::uint64_t* middle = old.slots + old.num_slots;
  for (const std::uint64_t* slot = old.slots; slot != old.slots + old.num_slots; ++slot) {
    if (*slot != kEmpty && !is_left(*slot)) {
      middle = slot;
      break;
    }
  }
  const std::uint64_t* end = old.slots + old.num_slots;
  allocate_and_fill(s, s.num_slots, s.num_homes, old.slots, middle);
  allocate_and_fill(right, old.num_slots, old.num_homes, middle, end);
  for (auto list : {&ChangeList::changed, &ChangeList::frozen}) {
    auto& from = s.changes.*list;
    const auto moved = std::partition(from.begin(), from.end(), is_left);
    (right.changes.*list).assign(moved, from.end());
    from.erase(moved, from.end());
  }
  right.changes.epoch = s.changes.epoch;
  release_slots(old);
}

void HashIndex::allocate_and_fill(Segment& s, std::uint32_t num_slots, std::uint32_t num_homes,
                                  const std::uint64_t* begin, const std::uint64_t* end) {
  for (;; num_slots *= 2) {
    allocate_slots(s, num_slots, num_homes);
    if (fill(s, begin, end)) return;
    release_slots(s);
  }
}

bool HashIndex::fill(Segment& s, const std::uint64_t* begin, const std::uint64_t* end) {
  s.count = 0;
  std::uint32_t next = 0;
  for (; begin != end; ++begin) {
    if (*begin == kEmpty) continue;
    const std::uint32_t at = std::max(next, s.home(static_cast<std::uint32_t>(*begin >> 32)));
    if (at + 1 >= s.num_slots) return false;
    s.slots[at] = *begin;
    next = at + 1;
    ++s.count;
  }
  return true;
}

void HashIndex::allocate_slots(Segment& s, std::uint32_t num_slots, std::uint32_t num_homes) {
  const std::size_t size = num_slots * sizeof(std::uint64_t);
  s.slots = static_cast<std::uint64_t*>(size < BlockPool::kUnit ? ::operator new(size)
                                                                : pool_.allocate(size));
  std::memset(s.slots, 0xFF, size);
  s.num_slots = num_slots;
  s.num_homes = num_homes;
  bytes_ += size;
}

void HashIndex::release_slots(Segment& s) {
  const std::size_t size = s.num_slots * sizeof(std::uint64_t);
  if (size < BlockPool::kUnit) {
    ::operator delete(s.slots);
  } else {
    pool_.release(s.slots, size);
  }
  s.slots = nullptr;
  bytes_ -= size;
}

}  // namespace tidemill
