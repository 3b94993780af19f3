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

// What the join keeps of both sides, and what it makes of them.
struct KeptAuction {
  std::int64_t id;
  std::int64_t seller;
  std::int64_t category;
};
BOOST_DESCRIBE_STRUCT(KeptAuction, (), (id, seller, category))
struct KeptBid {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t price;
  EventTime at;
};
BOOST_DESCRIBE_STRUCT(KeptBid, (), (auction, bidder, price, at))
struct BidOfCategory {
  BidWithSeller bid;
  std::int64_t category;
};

// All auctions are joined, and the category is asked for behind: so a bid has to wait for its
// auction only, of which there is one.
inline Stream<BidWithSeller> q20(const Events& in) {
  const auto auctions = in.auctions.map([](const Auction& a) {
    return KeptAuction{a.id, a.seller, a.category};
  });
  const auto bids = in.bids.map([](const Bid& b) {
    return KeptBid{b.auction, b.bidder, b.price, b.at};
  });
  return bids.key_by(&KeptBid::auction)
      .join(auctions.key_by(&KeptAuction::id))
      .apply("bids_with_auction",
             [](const KeptBid& b, const KeptAuction& a) {
               return BidOfCategory{{b.auction, b.bidder, b.price, b.at, a.seller}, a.category};
             },
             {.right_is_unique = true})
      .filter([](const BidOfCategory& b) { return b.category == 10; })
      .map([](const BidOfCategory& b) { return b.bid; });
}

}  // namespace tidemill::nexmark
