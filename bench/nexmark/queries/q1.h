// q1: prices in euros, exactly: thousandths of a cent.
#pragma once

#include "bench/nexmark/queries/events.h"

namespace tidemill::nexmark {

struct EuroBid {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t euro_thousandths;
  EventTime at;
  Text extra;
};
BOOST_DESCRIBE_STRUCT(EuroBid, (), (auction, bidder, euro_thousandths, at, extra))

inline Stream<EuroBid> q1(const Events& in) {
  return in.bids.map([](const Bid& b) {
    return EuroBid{b.auction, b.bidder, 908 * b.price, b.at, b.extra};
  });
}

}  // namespace tidemill::nexmark
