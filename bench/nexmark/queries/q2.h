// q2: bids on some auctions.
#pragma once

#include "bench/nexmark/queries/events.h"

namespace tidemill::nexmark {

struct AuctionPrice {
  std::int64_t auction;
  std::int64_t price;
};
BOOST_DESCRIBE_STRUCT(AuctionPrice, (), (auction, price))

inline Stream<AuctionPrice> q2(const Events& in) {
  return in.bids.filter([](const Bid& b) { return b.auction % 123 == 0; }).map([](const Bid& b) {
    return AuctionPrice{b.auction, b.price};
  });
}

}  // namespace tidemill::nexmark
