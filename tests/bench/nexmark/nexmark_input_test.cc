// The generator against the published hashes of its events, and the hand-written loops against the
// published rows of the queries: 1,000,000 events of the defaults.
#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <string_view>

#include "bench/nexmark/event_text.h"
#include "bench/nexmark/generator.h"
#include "bench/nexmark/golden.h"
#include "bench/nexmark/hand/hand_loops.h"
#include "bench/nexmark/input.h"

namespace tidemill::nexmark {
namespace {

TEST(NexmarkGenerator, MakesThePublishedFirstPerson) {
  std::string line;
  for_each_line({}, 1, [&](std::string_view text) { line = text; });
  EXPECT_TRUE(line.starts_with(
      "P|1000|vicky noris|yplkvgz@qbxfg.com|7878 5821 1864 2539|cheyenne|az|1436918400000|"))
      << line;
}

TEST(NexmarkGenerator, MakesThePublishedMillion) {
  EXPECT_EQ(hash_events({}, 1'000'000), 0xd91df23fe7d0b63bULL);
}
TEST(NexmarkGenerator, MakesThePublishedMillionInGroupsOf50) {
  EXPECT_EQ(hash_events({.group = 50}, 1'000'000), 0xabab29f5be29be95ULL);
}

// No event is further behind than the input says, at the edge of what a float holds too.
TEST(NexmarkInput, KnowsItsDisorder) {
  for (const std::int64_t rate : {200, 10'000, 1'000'000}) {
    for (const std::int64_t group : {1, 50, 10'000}) {
      const Input input({.rate = rate, .group = group}, 60'000, 1);
      EventTime greatest = EventTime::min();
      Duration furthest = Duration::zero();
      for (const Bid& bid : input.partitions()[0].bids) {
        greatest = std::max(greatest, bid.at);
        furthest = std::max(furthest, greatest - bid.at);
      }
      EXPECT_LE(furthest, input.disorder()) << rate << "/s, groups of " << group;
      EXPECT_LE(input.disorder(), furthest * 2 + Duration(2)) << rate << "/s, groups of " << group;
    }
  }
}

TEST(NexmarkInput, KeepsTheBidsOfAnAuctionInOnePartition) {
  const Input whole({}, 10'000, 1);
  const Input parts({}, 10'000, 3);
  std::size_t bids = 0;
  for (std::size_t p = 0; p < 3; ++p) {
    for (const Bid& bid : parts.partitions()[p].bids)
      EXPECT_EQ(static_cast<std::size_t>(bid.auction) % 3, p);
    bids += parts.partitions()[p].bids.size();
  }
  EXPECT_EQ(bids, whole.partitions()[0].bids.size());
}

TEST(NexmarkHandLoops, GiveThePublishedRows) {
  const Input input({}, 1'000'000, 1);
  for (const Golden& golden : goldens()) {
    if (golden.query == "q10") continue;
    const HandLoop* loop = find_hand_loop(golden.query);
    ASSERT_NE(loop, nullptr) << golden.query;
    const HandLoop::Checked checked = loop->check(input.partitions()[0]);
    EXPECT_EQ(checked.rows, golden.rows) << golden.query;
    EXPECT_EQ(checked.checksum, golden.checksum) << golden.query;
    EXPECT_EQ(loop->count(input.partitions()[0]), golden.rows) << golden.query;
  }
}

}  // namespace
}  // namespace tidemill::nexmark
