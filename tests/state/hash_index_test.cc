// The index against a multimap: growth, splits, deletions, ranges, and hashes that agree in many
// bits.
#include "state/hash_index.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

#include "engine/base/hash.h"

namespace tidemill {
namespace {

class Checked {
 public:
  explicit Checked(BlockPool& pool, HashIndex::OwnedHashes owned = {}) : index_(pool, owned) {}

  void insert(std::uint64_t hash, std::uint32_t number) {
    index_.insert(hash, number);
    hashes_[number] = hash;
  }
  void erase(std::uint32_t number) {
    index_.erase(hashes_.at(number), number);
    hashes_.erase(number);
  }
  void expect_all_found() const {
    for (const auto& [number, hash] : hashes_) {
      const std::uint32_t wanted = number;
      ASSERT_EQ(index_.find(hash, [&](std::uint32_t n) { return n == wanted; }), number);
    }
  }
  void expect_range(std::uint64_t first, std::uint64_t last) const {
    std::multiset<std::uint32_t> expected;
    for (const auto& [number, hash] : hashes_) {
      if (hash >> 32 >= first >> 32 && hash >> 32 <= last >> 32) expected.insert(number);
    }
    std::multiset<std::uint32_t> found;
    std::uint32_t last_tag = 0;
    index_.for_each(first, last, [&](std::uint32_t number, std::uint32_t tag) {
      found.insert(number);
      EXPECT_GE(tag, last_tag);
      EXPECT_EQ(tag, HashIndex::tag_of(hashes_.at(number)));
      last_tag = tag;
    });
    EXPECT_EQ(found, expected);
  }
  const std::map<std::uint32_t, std::uint64_t>& hashes() const { return hashes_; }
  HashIndex& index() { return index_; }

 private:
  HashIndex index_;
  std::map<std::uint32_t, std::uint64_t> hashes_;
};

TEST(HashIndex, GrowsSplitsAndFindsEverything) {
  BlockPool pool;
  Checked index(pool);
  for (std::uint32_t n = 0; n < 150'000; ++n) index.insert(mix64(n + 1), n);
  index.expect_all_found();
  index.expect_range(0, ~std::uint64_t{0});
  index.expect_range(std::uint64_t{3} << 60, (std::uint64_t{5} << 60) - 1);
  EXPECT_LT(index.index().bytes(), std::size_t{150'000} * 24);
  EXPECT_EQ(index.index().find(mix64(200'000), [](std::uint32_t) { return false; }),
            HashIndex::kNone);
}

TEST(HashIndex, UsesAThirdOfTheHashesAsWellAsAll) {
  // A subtask owns a part of the hashes: the rest of the index costs nothing.
  BlockPool pool;
  Checked index(pool);
  for (std::uint32_t n = 0; n < 100'000; ++n)
    index.insert(mix64(n + 1) / 3 + (std::uint64_t{1} << 62), n);
  index.expect_all_found();
  EXPECT_LT(index.index().bytes(), std::size_t{100'000} * 40);
}

// With a quarter of the hashes in a table that has not been split yet, no entry is far from its
// home.
TEST(HashIndex, IsLaidOutForTheHashesThatAreOwned) {
  constexpr std::uint64_t kFirst = std::uint64_t{1} << 62;
  constexpr std::uint64_t kLast = (std::uint64_t{1} << 63) - 1;
  BlockPool pool;
  Checked index(pool, {kFirst, kLast});
  for (std::uint32_t n = 0; n < 20'000; ++n) index.insert(kFirst + mix64(n + 1) / 4, n);
  const HashIndex::Segment& s = index.index().segment(kFirst);
  std::size_t farthest = 0;
  for (std::uint32_t place = 0; place < s.num_slots; ++place) {
    const std::uint64_t* slot = s.slots.begin + place;
    if (*slot == ~std::uint64_t{0}) continue;
    const auto* home = s.slots.home(static_cast<std::uint32_t>(*slot >> 32));
    farthest = std::max(farthest, static_cast<std::size_t>(slot - home));
  }
  EXPECT_LT(farthest, 100U);
  // Others are found as well, also those that crowd at both ends.
  for (std::uint32_t n = 0; n < 1'000; ++n) {
    index.insert(mix64(n + 1) / 8, 100'000 + n);
    index.insert(~(mix64(n + 1) / 8), 200'000 + n);
  }
  for (std::uint32_t n = 20'000; n < 40'000; ++n) index.insert(kFirst + mix64(n + 1) / 4, n);
  index.expect_all_found();
  index.expect_range(0, ~std::uint64_t{0});
  index.expect_range(kFirst, kLast);
}

TEST(HashIndex, ForgetsWhatIsErased) {
  BlockPool pool;
  Checked index(pool);
  std::mt19937_64 random(7);
  std::vector<std::uint32_t> numbers;
  std::uint32_t next = 0;
  for (int i = 0; i < 120'000; ++i) {
    if (numbers.empty() || random() % 3 != 0) {
      index.insert(random(), next);
      numbers.push_back(next++);
    } else {
      const std::size_t at = random() % numbers.size();
      std::swap(numbers[at], numbers.back());
      index.erase(numbers.back());
      numbers.pop_back();
    }
  }
  index.expect_all_found();
  index.expect_range(0, ~std::uint64_t{0});
}

TEST(HashIndex, SurvivesHashesThatAgreeInTheirUpperBits) {
  BlockPool pool;
  Checked index(pool);
  for (std::uint32_t n = 0; n < 3'000; ++n) {
    index.insert(0xABCDEF0100000000ULL + n, n);                     // one tag
    index.insert(0xFFFFFFFF00000000ULL + n, 1'000'000 + n);         // the last tag
    index.insert((std::uint64_t{n % 5} << 32) + n, 2'000'000 + n);  // the first few
  }
  index.expect_all_found();
  index.expect_range(0, ~std::uint64_t{0});
  for (std::uint32_t n = 0; n < 3'000; n += 2) index.erase(n);
  index.expect_all_found();
  EXPECT_LT(index.index().bytes(), std::size_t{1} << 20);
}

// `is_few`: of the segment's entries have changed, as far as it is told; else it may keep no notes,
// and give all that it has.
class NotesOfChanges : public ::testing::TestWithParam<bool> {};

TEST_P(NotesOfChanges, AreKeptThroughSplits) {
  const bool is_few = GetParam();
  BlockPool pool;
  HashIndex index(pool);
  std::set<std::uint64_t> first;
  std::set<std::uint64_t> second;
  for (std::uint32_t n = 0; n < 60'000; ++n) {
    const std::uint64_t hash = mix64(n + 1);
    index.insert(hash, n);
    const std::uint32_t epoch = n < 10'000 ? 1 : 2;
    HashIndex::Segment& s = index.segment(hash);
    s.changes.add(HashIndex::tag_of(hash), n, epoch, is_few ? 0xFFFFFFFF : s.count);
    (epoch == 1 ? first : second).insert(std::uint64_t{HashIndex::tag_of(hash)} << 32 | n);
  }
  for (const std::uint32_t epoch : {1U, 2U}) {
    std::set<std::uint64_t> found;
    std::uint64_t hash = 0;
    do {
      HashIndex::Segment& s = index.segment(hash);
      const std::vector<std::uint64_t> notes = s.take_changes(epoch);
      EXPECT_TRUE(std::ranges::is_sorted(notes, {}, [](std::uint64_t note) { return note >> 32; }));
      for (const std::uint64_t note : notes) {
        EXPECT_GE(note >> 32, s.first_hash >> 32);
        EXPECT_TRUE(found.insert(note).second);
      }
      hash = HashIndex::end_hash(s);
    } while (hash != 0);
    const std::set<std::uint64_t>& expected = epoch == 1 ? first : second;
    if (is_few) {
      EXPECT_EQ(found, expected);
    } else {
      EXPECT_TRUE(std::ranges::includes(found, expected));
      EXPECT_LE(found.size(), 60'000U);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(FewAndMost, NotesOfChanges, ::testing::Bool());

TEST(ChangeList, GivesItsMemoryBackOnceMostHaveChanged) {
  ChangeList changes;
  for (std::uint32_t number = 0; number < 1000; ++number) changes.add(number, number, 1, 1000);
  EXPECT_TRUE(changes.is_most_changed);
  EXPECT_EQ(changes.changed.capacity(), 0U);
}

}  // namespace
}  // namespace tidemill
