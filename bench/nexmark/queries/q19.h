// q19: the ten highest bids of each auction.
#pragma once

#include <tuple>

#include "bench/nexmark/queries/events.h"
#include "operators/changelog.h"
#include "operators/keyed_stream.h"

namespace tidemill::nexmark {

struct RankedBid {
  std::int64_t auction;
  std::int64_t price;
  std::int32_t rank;
  [[nodiscard]] auto identity() const { return std::tuple(auction, rank); }
};
BOOST_DESCRIBE_STRUCT(RankedBid, (), (auction, price, rank))

inline Stream<Change<RankedBid>> q19(const Events& in) {
  return in.bids.key_by(&Bid::auction)
      .top_n("highest_bids", 10, &Bid::price, RankOrder::kDescending, &Bid::price)
      .map([](const auto& change) {
        return Change<RankedBid>{change.kind, {change.row.key, change.row.row, change.row.rank}};
      });
}

}  // namespace tidemill::nexmark
