// q20: bids with their auction, of category 10; a join without a window.
#pragma once

#include "bench/nexmark/queries/events.h"
#include "operators/joined_streams.h"

namespace tidemill::nexmark {

struct BidWithSeller {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t price;
  EventTime at;
  std::int64_t seller;
};
BOOST_DESCRIBE_STRUCT(BidWithSeller, (), (auction, bidder, price, at, seller))

// What the join keeps of both sides.
struct KeptAuction {
  std::int64_t id;
  std::int64_t seller;
};
BOOST_DESCRIBE_STRUCT(KeptAuction, (), (id, seller))
struct KeptBid {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t price;
  EventTime at;
};
BOOST_DESCRIBE_STRUCT(KeptBid, (), (auction, bidder, price, at))

inline Stream<BidWithSeller> q20(const Events& in) {
  const auto auctions = in.auctions.filter([](const Auction& a) { return a.category == 10; })
                            .map([](const Auction& a) {
                              return KeptAuction{a.id, a.seller};
                            });
  const auto bids = in.bids.map([](const Bid& b) {
    return KeptBid{b.auction, b.bidder, b.price, b.at};
  });
  return bids.key_by(&KeptBid::auction)
      .join(auctions.key_by(&KeptAuction::id))
      .apply("bids_of_category", [](const KeptBid& b, const KeptAuction& a) {
        return BidWithSeller{b.auction, b.bidder, b.price, b.at, a.seller};
      });
}

}  // namespace tidemill::nexmark
