#include "state/ordered_set.h"

#include <gtest/gtest.h>
#include <random>
#include <set>
#include <string>

namespace tidemill {
namespace {

// Counts what is done to its kind.
struct Counted {
  Counted() = default;
  explicit Counted(int v) : value(v) {}
  Counted(const Counted& other) : value(other.value) { ++steps; }
  Counted& operator=(const Counted& other) {
    value = other.value;
    ++steps;
    return *this;
  }
  ~Counted() = default;
  int value = 0;
  static inline int steps = 0;
};
struct CountedBefore {
  using is_transparent = void;
  static int of(const Counted& c) { return c.value; }
  static int of(int v) { return v; }
  template <class A, class B>
  bool operator()(const A& a, const B& b) const {
    ++Counted::steps;
    return of(a) < of(b);
  }
};
using CountedSet = OrderedSet<Counted, CountedBefore>;
using Words = OrderedSet<std::string, std::less<>>;

TEST(OrderedSet, AgreesWithASet) {
  std::mt19937 random(1);
  for (const unsigned span : {20U, 200U}) {  // below and above what lies in one block
    Words words;
    std::set<std::string> expected;
    for (int i = 0; i < 5000; ++i) {
      const std::string word = std::string(20, 'x') + std::to_string(random() % span);
      const std::string* at = words.first_from(word);
      const auto place = expected.lower_bound(word);
      ASSERT_EQ(at == nullptr, place == expected.end());
      if (at != nullptr) {
        ASSERT_EQ(*at, *place);
      }
      if (random() % 8 == 0 && !expected.empty()) {
        ASSERT_EQ(words.front(), *expected.begin());
        ASSERT_EQ(words.pop_front(), *expected.begin());
        expected.erase(expected.begin());
      } else if (at != nullptr && *at == word) {
        words.erase(word);
        expected.erase(word);
      } else {
        words.insert(word);
        expected.insert(word);
      }
      ASSERT_EQ(words.size(), expected.size());
    }
    std::vector<std::string> all;
    words.for_each([&](const std::string& word) { all.push_back(word); });
    EXPECT_EQ(all, std::vector<std::string>(expected.begin(), expected.end()));
  }
}

// 10,000 timers of one key: the block that a vector is would be moved 2,500 elements a change.
TEST(OrderedSet, ChangesInLogarithmicSteps) {
  constexpr int kSize = 10'000;
  constexpr int kMost = static_cast<int>(4 * CountedSet::kFew);
  CountedSet set;
  std::mt19937 random(2);
  const auto steps_of = [](auto&& change) {
    Counted::steps = 0;
    change();
    return Counted::steps;
  };
  std::set<int> values;
  while (values.size() < kSize) values.insert(static_cast<int>(random() % 1'000'000));
  std::vector<int> order(values.begin(), values.end());
  std::shuffle(order.begin(), order.end(), random);
  int most = 0;
  for (const int value : order)
    most = std::max(most, steps_of([&] { set.insert(Counted(value)); }));
  EXPECT_LE(most, kMost);
  EXPECT_LE(steps_of([&] { (void)set.first_from(order[5]); }), kMost);
  for (int i = 0; i < 1000; ++i)
    ASSERT_LE(steps_of([&] { set.erase(order[static_cast<std::size_t>(i)]); }), kMost);
  while (!set.empty()) ASSERT_LE(steps_of([&] { (void)set.pop_front(); }), kMost);
}

TEST(OrderedSet, IsStoredAsAVectorAndCharged) {
  for (const int size : {0, 5, 500}) {
    Words words;
    std::vector<std::string> sorted;
    for (int i = 0; i < size; ++i) sorted.push_back(std::string(30, 'x') + std::to_string(i));
    std::ranges::sort(sorted);
    for (const std::string& word : sorted) words.insert(word);
    Bytes as_set;
    Bytes as_vector;
    encode(as_set, words);
    encode(as_vector, sorted);
    EXPECT_EQ(as_set, as_vector);
    Bytes set_type;
    Bytes vector_type;
    encode(set_type, stored_type<Words>());
    encode(vector_type, stored_type<std::vector<std::string>>());
    EXPECT_EQ(set_type, vector_type);
    const Words again = decode<Words>(as_vector);
    EXPECT_EQ(again.size(), sorted.size());
    EXPECT_GE(memory_size(words), static_cast<std::size_t>(size) * 63);
  }
  Words words;
  for (int i = 0; i < 500; ++i) words.insert(std::string(30, 'x') + std::to_string(i));
  while (!words.empty()) (void)words.pop_front();
  EXPECT_EQ(memory_size(words), 0U);
}

}  // namespace
}  // namespace tidemill
