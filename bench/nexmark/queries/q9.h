// q9: the winning bid of each auction.
#pragma once

#include "bench/nexmark/queries/winning_bids.h"

namespace tidemill::nexmark {

struct Winner {
  std::int64_t id;
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t price;
  EventTime at;
};
BOOST_DESCRIBE_STRUCT(Winner, (), (id, auction, bidder, price, at))

inline Stream<Winner> q9(const Events& in) {
  return winning_bids(in).map([](const WinningBid& w) {
    return Winner{w.auction, w.auction, w.bidder, w.price, w.at};
  });
}

}  // namespace tidemill::nexmark
