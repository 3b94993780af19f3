// q13: bids with what a side table has for them.
#pragma once

#include <memory>
#include <numeric>
#include <vector>

#include "bench/nexmark/queries/events.h"

namespace tidemill::nexmark {

struct EnrichedBid {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t price;
  EventTime at;
  std::int64_t side_value;
};
BOOST_DESCRIBE_STRUCT(EnrichedBid, (), (auction, bidder, price, at, side_value))

inline Stream<EnrichedBid> q13(const Events& in) {
  constexpr std::int64_t kSideRows = 10'000;
  auto side = std::make_shared<std::vector<std::int64_t>>(kSideRows);
  std::iota(side->begin(), side->end(), 0);
  return in.bids.map([side](const Bid& b) {
    return EnrichedBid{b.auction, b.bidder, b.price, b.at,
                       (*side)[static_cast<std::size_t>(b.auction % kSideRows)]};
  });
}

}  // namespace tidemill::nexmark
