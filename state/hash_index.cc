#include "state/hash_index.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <utility>

#include "engine/base/error.h"

namespace tidemill {
namespace {

constexpr std::uint32_t kFirstSlots = 32;
// 256 KiB: split and rebuilt in well under a millisecond.
constexpr std::uint32_t kMostSlots = 1U << 15;
// Leaves 12 bits of the tag to order a segment by.
constexpr std::uint32_t kMostDepth = 20;

// Slots behind the last home, for what overflows there and for the tail that stays empty.
constexpr std::uint32_t spare(std::uint32_t num_slots) {
  return std::clamp<std::uint32_t>(num_slots / 4, 8, 64);
}

// What a segment had before it is built anew.
struct Old {
  std::uint64_t* begin;
  std::uint32_t num_slots;
};

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

std::vector<std::uint64_t> HashIndex::Segment::take_changes(std::uint32_t epoch) {
  const bool is_running = changes.epoch == epoch;
  std::vector<std::uint64_t> notes =
      std::exchange(is_running ? changes.changed : changes.frozen, {});
  if (std::exchange(is_running ? changes.is_most_changed : changes.is_most_frozen, false)) {
    notes.reserve(count);
    std::copy_if(slots.begin, slots.begin + num_slots, std::back_inserter(notes),
                 [](std::uint64_t slot) { return slot != kEmpty; });
  } else {
    sort_notes(notes);
  }
  return notes;
}

HashIndex::HashIndex(BlockPool& pool, OwnedHashes owned) : pool_(pool), owned_(owned) { clear(); }

HashIndex::~HashIndex() {
  for (const auto& s : segments_) release_slots(s->slots.begin, s->num_slots);
}

void HashIndex::clear() {
  for (const auto& s : segments_) release_slots(s->slots.begin, s->num_slots);
  segments_.clear();
  depth_ = 0;
  segments_.push_back(std::make_unique<Segment>());
  allocate_slots(*segments_.back(), kFirstSlots, kFirstSlots - spare(kFirstSlots));
  slots_.resize(1);
  directory_.resize(1);
  enter(*segments_.back());
}

void HashIndex::enter(Segment& s) {
  std::size_t at = place_of(s.first_hash);
  for (std::size_t n = std::size_t{1} << (depth_ - s.depth); n > 0; --n, ++at) {
    slots_[at] = s.slots;
    directory_[at] = &s;
  }
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
    std::uint64_t* at = s.slots.home(tag);
    while (*at != kEmpty && (*at >> 32) <= tag) ++at;
    std::uint64_t* empty = at;
    while (*empty != kEmpty) ++empty;
    if (empty + HashIndex::kTail >= s.slots.begin + s.num_slots) {
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
  std::uint64_t* at = s.slots.home(tag);
  while (*at != wanted) {
    TM_CHECK(*at != kEmpty);
    ++at;
  }
  // Pulls back what was displaced, up to the next one that is at home.
  for (std::uint64_t* next = at + 1;; ++next) {
    if (*next == kEmpty || s.slots.home(static_cast<std::uint32_t>(*next >> 32)) == next) {
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
  const Old old{s.slots.begin, s.num_slots};
  allocate_and_fill(s, num_slots, num_homes, old.begin, old.begin + old.num_slots);
  enter(s);
  release_slots(old.begin, old.num_slots);
}

void HashIndex::split(Segment& s) {
  if (s.depth == depth_) {
    ++depth_;
    slots_.resize(slots_.size() * 2);
    directory_.resize(directory_.size() * 2);
    for (const auto& each : segments_) enter(*each);
  }
  const Old old{s.slots.begin, s.num_slots};
  const std::uint32_t num_homes = s.num_homes;
  segments_.push_back(std::make_unique<Segment>());
  Segment& right = *segments_.back();
  right.depth = ++s.depth;
  right.first_hash = s.first_hash + (std::uint64_t{1} << (64 - s.depth));
  const std::uint64_t first_right = static_cast<std::uint64_t>(tag_of(right.first_hash)) << 32;
  const auto is_left = [first_right](std::uint64_t slot) { return slot < first_right; };

  // The halves are found by the order of the slots, empty ones left aside.
  const std::uint64_t* const end = old.begin + old.num_slots;
  const std::uint64_t* middle = old.begin;
  while (middle != end && (*middle == kEmpty || is_left(*middle))) ++middle;
  allocate_and_fill(s, old.num_slots, num_homes, old.begin, middle);
  allocate_and_fill(right, old.num_slots, num_homes, middle, end);
  enter(s);
  enter(right);
  for (auto list : {&ChangeList::changed, &ChangeList::frozen}) {
    auto& from = s.changes.*list;
    const auto moved = std::partition(from.begin(), from.end(), is_left);
    (right.changes.*list).assign(moved, from.end());
    from.erase(moved, from.end());
  }
  right.changes.epoch = s.changes.epoch;
  right.changes.is_most_changed = s.changes.is_most_changed;
  right.changes.is_most_frozen = s.changes.is_most_frozen;
  release_slots(old.begin, old.num_slots);
}

void HashIndex::allocate_and_fill(Segment& s, std::uint32_t num_slots, std::uint32_t num_homes,
                                  const std::uint64_t* begin, const std::uint64_t* end) {
  for (;; num_slots *= 2) {
    allocate_slots(s, num_slots, num_homes);
    if (fill(s, begin, end)) return;
    release_slots(s.slots.begin, s.num_slots);
  }
}

bool HashIndex::fill(Segment& s, const std::uint64_t* begin, const std::uint64_t* end) {
  s.count = 0;
  std::uint64_t* next = s.slots.begin;
  for (; begin != end; ++begin) {
    if (*begin == kEmpty) continue;
    next = std::max(next, s.slots.home(static_cast<std::uint32_t>(*begin >> 32)));
    if (next + HashIndex::kTail >= s.slots.begin + s.num_slots) return false;
    *next++ = *begin;
    ++s.count;
  }
  return true;
}

void HashIndex::allocate_slots(Segment& s, std::uint32_t num_slots, std::uint32_t num_homes) {
  const std::size_t size = num_slots * sizeof(std::uint64_t);
  void* const memory = size < BlockPool::kUnit ? ::operator new(size) : pool_.allocate(size);
  std::memset(memory, 0xFF, size);
  s.slots.begin = static_cast<std::uint64_t*>(memory);
  s.num_homes = num_homes;
  s.num_slots = num_slots;
  const std::uint64_t first = s.first_hash >> 32;
  const std::uint64_t last = first + ((std::uint64_t{1} << 32) >> s.depth) - 1;
  std::uint64_t begin = std::max(first, owned_.first >> 32);
  std::uint64_t end = std::min(last, owned_.last >> 32) + 1;
  if (begin >= end) {  // none of its hashes is owned
    begin = first;
    end = last + 1;
  }
  s.slots.first_tag = static_cast<std::uint32_t>(begin);
  s.slots.num_more = static_cast<std::uint32_t>(end - begin - 1);
  s.slots.scale = (std::uint64_t{num_homes} << 32) / (end - begin);
  bytes_ += size;
}

void HashIndex::release_slots(std::uint64_t* slots, std::uint32_t num_slots) {
  const std::size_t size = num_slots * sizeof(std::uint64_t);
  if (size < BlockPool::kUnit) {
    ::operator delete(slots);
  } else {
    pool_.release(slots, size);
  }
  bytes_ -= size;
}

}  // namespace tidemill
