// q17: the prices bid for each auction on each day.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include "bench/nexmark/day.h"
#include "bench/nexmark/queries/events.h"
#include "bench/nexmark/queries/price_rank.h"
#include "operators/changelog.h"
#include "operators/keyed_stream.h"

namespace tidemill::nexmark {

struct AuctionPrices {
  std::int64_t auction;
  std::string day;
  std::int64_t bids, bids1, bids2, bids3;
  std::int64_t min_price;
  std::int64_t max_price;
  std::int64_t mean_price;
  std::int64_t sum_of_prices;
  [[nodiscard]] auto identity() const { return std::tuple(auction, day); }
};
BOOST_DESCRIBE_STRUCT(AuctionPrices, (),
                      (auction, day, bids, bids1, bids2, bids3, min_price, max_price, mean_price,
                       sum_of_prices))

struct PricesSoFar {
  CountsByRank bids{};
  std::int64_t min = INT64_MAX;
  std::int64_t max = 0;
  std::int64_t sum = 0;

  void add(const Bid& b) {
    ++bids[price_rank(b.price)];
    min = std::min(min, b.price);
    max = std::max(max, b.price);
    sum += b.price;
  }
  void merge(const PricesSoFar& other) {
    for (std::size_t rank = 0; rank < 3; ++rank) bids[rank] += other.bids[rank];
    min = std::min(min, other.min);
    max = std::max(max, other.max);
    sum += other.sum;
  }
};
BOOST_DESCRIBE_STRUCT(PricesSoFar, (), (bids, min, max, sum))

inline Stream<Change<AuctionPrices>> q17(const Events& in) {
  return in.bids.key_by([](const Bid& b) { return std::pair(b.auction, day_of(b.at)); })
      .aggregate<PricesSoFar>("prices_of_auction")
      .map([](const auto& change) {
        const PricesSoFar& p = change.row.value;
        const std::int64_t n = p.bids[0] + p.bids[1] + p.bids[2];
        return Change<AuctionPrices>{
            change.kind,
            {change.row.key.first, day_text(change.row.key.second), n, p.bids[0], p.bids[1],
             p.bids[2], p.min, p.max, n == 0 ? 0 : p.sum / n, p.sum}};
      });
}

}  // namespace tidemill::nexmark
