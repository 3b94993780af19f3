// The slices of one key against the list of its records: long lives, many slices, late records,
// storage in between.
#include "operators/trailing_key.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <limits>
#include <rapidcheck/gtest.h>
#include <string>
#include <vector>

#include "operators/aggregates.h"
#include "operators/collections.h"

namespace tidemill {
namespace {

struct Item {
  std::int64_t time = 0;
  int value = 0;
};

std::int64_t leave(const Item& item, const Trailing& w) {
  const std::int64_t r = w.resolution.count();
  const std::int64_t steps = item.time >= 0 ? (item.time + r - 1) / r : -(-item.time / r);
  return steps * r + w.size.count();
}

// Merged anew when slices leave.
struct Remerged {
  Collect<int> all;
  void add(int value, const Stamp& stamp) { all.add(value, stamp); }
  void merge(const Remerged& other) { all.merge(other.all); }
  [[nodiscard]] std::vector<int> result() const { return all.result(); }
  BOOST_DESCRIBE_CLASS(Remerged, (), (all), (), ())
};

template <class A>
void agrees_with_the_list_of_records() {
  std::vector<Trailing> windows;
  for (int i = *rc::gen::inRange(1, 4); i > 0; --i)
    windows.push_back({Duration(*rc::gen::inRange(1, 2000)),
                       Duration(*rc::gen::element(1, 2, 6, 7, 30, 90, 500))});
  const TrailingLayout layout(windows);
  const std::int64_t stride = *rc::gen::element(1, 10, 60);
  const int lag = *rc::gen::element(1, 20, 900);
  TrailingKey<A> key;
  std::vector<Item> items;
  std::int64_t now = *rc::gen::inRange(-3000, 3000);
  std::size_t most_slices = 0;
  std::vector<std::uint32_t> random(3 * 400);
  for (auto& r : random) r = *rc::gen::noShrink(rc::gen::arbitrary<std::uint32_t>());
  for (std::size_t step = 0; step < 400; ++step) {
    now += random[3 * step] % static_cast<std::uint32_t>(stride + 1);
    key.prepare(layout);
    key.advance(layout, {now});
    if (random[3 * step + 1] % 4 != 0) {
      const Item item{
          now - static_cast<std::int64_t>(random[3 * step + 2] % static_cast<std::uint32_t>(lag)),
          static_cast<int>(step)};
      items.push_back(item);
      key.add(layout, {item.time}, [&](A& a) {
        a.add(item.value, Stamp{{item.time}, {0, item.value}});
      });
    }
    most_slices = std::max(most_slices, key.num_slices());
    std::stable_sort(items.begin(), items.end(),
                     [](const Item& a, const Item& b) { return a.time < b.time; });
    std::int64_t next = std::numeric_limits<std::int64_t>::max();
    for (std::size_t w = 0; w < windows.size(); ++w) {
      std::vector<int> expected;
      for (const Item& item : items) {
        if (now >= leave(item, windows[w])) continue;
        expected.push_back(item.value);
        next = std::min(next, leave(item, windows[w]));
      }
      RC_ASSERT(key.total(w).result() == expected);
    }
    RC_ASSERT(key.next_leave().ms == next);
    if (random[3 * step + 1] % 29 == 0) {
      Bytes bytes;
      encode(bytes, key);
      key = decode<TrailingKey<A>>(bytes);
      RC_ASSERT(key.instant.ms == now);
    }
  }
  RC_CLASSIFY(most_slices > 20, "many slices");
}

TEST(TrailingKeyTest, AgreesWhereTotalsAreEvicted) {
  EXPECT_TRUE(rc::check("a long life", agrees_with_the_list_of_records<Collect<int>>));
}
TEST(TrailingKeyTest, AgreesWhereTotalsAreMergedAnew) {
  EXPECT_TRUE(rc::check("a long life", agrees_with_the_list_of_records<Remerged>));
}

TEST(TrailingKeyTest, KeepsAboutOneSlicePerResolutionStep) {
  const TrailingLayout layout({{5min, 5s}, {1h, 1min}, {24h, 24min}});
  TrailingKey<Count> key;
  for (std::int64_t second = 0; second < 40 * 3600; ++second) {
    key.prepare(layout);
    key.advance(layout, {second * 1000});
    key.add(layout, {second * 1000}, [](Count& c) { c.add(1); });
    ASSERT_LE(key.num_slices(), 400U);
  }
  EXPECT_EQ(key.total(0).n, 304);   // (143695 s, 143999 s]
  EXPECT_EQ(key.total(1).n, 3659);  // (140340 s, 143999 s]
}

TEST(TrailingKeyTest, DamagedBytesAreAnError) {
  const TrailingLayout layout({{5s, 1s}, {1h, 1min}});
  TrailingKey<Collect<std::string>> key;
  key.prepare(layout);
  key.advance(layout, {5000});
  for (int i = 0; i < 5; ++i)
    key.add(layout, {i * 1000}, [&](auto& a) { a.add("value", Stamp{{i * 1000}}); });
  key.waiting.push_back({Stamp{{9000}}, {}});
  Bytes whole;
  encode(whole, key);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(decode<TrailingKey<Collect<std::string>>>(whole.substr(0, size)), Error);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int flip = 1; flip < 256; flip *= 2) {
      Bytes damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      try {
        auto read = decode<TrailingKey<Collect<std::string>>>(damaged);
        read.prepare(layout);
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), ErrorCode::kCorrupt);
      }
    }
  }
}

}  // namespace
}  // namespace tidemill
