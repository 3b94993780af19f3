// q18: the last bid of each bidder for each auction.
#pragma once

#include <tuple>
#include <utility>

#include "bench/nexmark/queries/events.h"
#include "operators/changelog.h"
#include "operators/keyed_stream.h"

namespace tidemill::nexmark {

struct LastBid {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t price;
  Text channel;
  Text url;
  EventTime at;
  Text extra;
  [[nodiscard]] auto identity() const { return std::tuple(auction, bidder); }
};
BOOST_DESCRIBE_STRUCT(LastBid, (), (auction, bidder, price, channel, url, at, extra))

inline Stream<Change<LastBid>> q18(const Events& in) {
  return in.bids.key_by([](const Bid& b) { return std::pair(b.bidder, b.auction); })
      .dedup_last("last_bids")
      .map([](const Change<Bid>& change) {
        const Bid& b = change.row;
        return Change<LastBid>{change.kind,
                               {b.auction, b.bidder, b.price, b.channel, b.url, b.at, b.extra}};
      });
}

}  // namespace tidemill::nexmark
