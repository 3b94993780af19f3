// A place among prefetched keys makes a look-up faster and changes nothing: also a wrong one, or
// one of a key that has gone, or of another namespace, finds what is there.
#include "state/keys_ahead.h"

#include <array>
#include <gtest/gtest.h>

#include "engine/base/hash.h"

namespace tidemill {
namespace {

class KeysAheadTest : public ::testing::Test {
 protected:
  using Store = NamespaceTable<std::int64_t, std::int64_t>;
  static constexpr HashRange kAllHashes{0, ~std::uint64_t{0}};

  static void put(Store& in, std::int64_t key, std::int64_t value) {
    in.table.insert(key, key_hash(key)).entry->value = value;
  }
  void look_at(const Store& in) {
    std::array<KeyRef<std::int64_t>, 3> refs;
    for (std::size_t i = 0; i < refs.size(); ++i) refs[i] = {&keys_[i], key_hash(keys_[i])};
    ahead_.look_at(in, refs);
  }
  // -1: there is none.
  std::int64_t find(const Store& in, std::int64_t key, PlaceAhead place) {
    const auto found = ahead_.find(in, key, key_hash(key), place);
    if (found.entry == nullptr) return -1;
    EXPECT_EQ(found.number, in.table.find(key, key_hash(key)).number);
    return found.entry->value;
  }

  BlockPool pool_;
  Store store_{pool_, EventTime{}, 1, kAllHashes};
  Store other_{pool_, EventTime{1}, 1, kAllHashes};
  KeysAhead<std::int64_t, std::int64_t> ahead_;
  const std::array<std::int64_t, 3> keys_{10, 11, 12};
};

TEST_F(KeysAheadTest, AnyPlaceFindsTheKeyThatIsAskedFor) {
  for (const std::int64_t key : keys_) put(store_, key, 10 * key);
  look_at(store_);
  for (const PlaceAhead place :
       {PlaceAhead{0}, PlaceAhead{1}, PlaceAhead{2}, PlaceAhead{3}, kNoPlace}) {
    EXPECT_EQ(find(store_, 11, place), 110);
    EXPECT_EQ(find(store_, 13, place), -1);
  }
}

TEST_F(KeysAheadTest, WhatHasComeAndGoneSinceIsSeen) {
  put(store_, 10, 100);
  put(store_, 12, 120);
  look_at(store_);
  put(store_, 11, 110);
  EXPECT_EQ(find(store_, 11, 1), 110);
  const auto gone = store_.table.find(10, key_hash(std::int64_t{10}));
  store_.table.remove(gone.number, key_hash(std::int64_t{10}));
  EXPECT_EQ(find(store_, 10, 0), -1);
  EXPECT_EQ(find(store_, 12, 2), 120);
}

TEST_F(KeysAheadTest, ANumberThatAnotherKeyHasSinceIsNotTakenForIt) {
  for (const std::int64_t key : keys_) put(store_, key, 10 * key);
  look_at(store_);
  for (const std::int64_t key : keys_)
    store_.table.remove(store_.table.find(key, key_hash(key)).number, key_hash(key));
  EXPECT_EQ(ahead_.at(EventTime{}, 10, 0).entry, nullptr);
  for (const std::int64_t key : {20, 21, 10}) put(store_, key, 10 * key);
  for (PlaceAhead place = 0; place < 3; ++place) {
    EXPECT_EQ(find(store_, 10, place), 100);
    EXPECT_EQ(find(store_, 11, place), -1);
    EXPECT_EQ(find(store_, 20, place), 200);
  }
}

// Memory that was given back may come from elsewhere the next time.
TEST_F(KeysAheadTest, AnEntryThatIsMadeAnewIsFoundWhereItIsNow) {
  for (const std::int64_t key : keys_) put(store_, key, 10 * key);
  look_at(store_);
  for (const std::int64_t key : keys_)
    store_.table.remove(store_.table.find(key, key_hash(key)).number, key_hash(key));
  put(other_, 99, 990);  // takes that memory
  for (const std::int64_t key : keys_) put(store_, key, 7 * key);
  for (PlaceAhead place = 0; place < 3; ++place)
    EXPECT_EQ(find(store_, keys_[place], place), 7 * keys_[place]);
  EXPECT_EQ(find(other_, 99, kNoPlace), 990);
}

TEST_F(KeysAheadTest, WhatIsAmongTheRecentOnesIsNotSearchedAgain) {
  for (const std::int64_t key : keys_) put(store_, key, 10 * key);
  RecentEntries<std::int64_t, std::int64_t> recent;
  const auto look = [&] {
    ASSERT_TRUE(recent.begin(store_.table));
    std::array<KeyRef<std::int64_t>, 3> refs;
    for (std::size_t i = 0; i < refs.size(); ++i) refs[i] = {&keys_[i], key_hash(keys_[i])};
    ahead_.look_at(store_, refs, recent);
    for (PlaceAhead place = 0; place < 3; ++place) {
      const auto found = ahead_.at(EventTime{}, keys_[place], place);
      ASSERT_NE(found.entry, nullptr);
      EXPECT_EQ(found.entry->value, 10 * keys_[place]);
    }
  };
  look();
  for (const std::int64_t key : keys_) EXPECT_NE(recent.peek(key, key_hash(key)).entry, nullptr);
  look();
  EXPECT_EQ(ahead_.at(EventTime{1}, 10, 0).entry, nullptr);
}

TEST_F(KeysAheadTest, APlaceOfAnotherNamespaceIsNone) {
  for (const std::int64_t key : keys_) put(store_, key, 10 * key);
  look_at(store_);
  EXPECT_EQ(find(other_, 10, 0), -1);  // no memory of its own yet
  put(other_, 11, 8);
  EXPECT_EQ(find(other_, 11, 1), 8);
}

}  // namespace
}  // namespace tidemill
