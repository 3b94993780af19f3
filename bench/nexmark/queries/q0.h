// q0: every bid as it is; what the engine itself costs.
#pragma once

#include "bench/nexmark/queries/events.h"

namespace tidemill::nexmark {

struct PassedBid {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t price;
  EventTime at;
  Text extra;
};
BOOST_DESCRIBE_STRUCT(PassedBid, (), (auction, bidder, price, at, extra))

inline Stream<PassedBid> q0(const Events& in) {
  return in.bids.map([](const Bid& b) {
    return PassedBid{b.auction, b.bidder, b.price, b.at, b.extra};
  });
}

}  // namespace tidemill::nexmark
