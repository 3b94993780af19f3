// q6: the mean of the last ten winning prices of each seller, by Beam's definition: of auctions
// that are over and whose highest bid reached the reserve, the last ten by the time of the bid,
// rounded.
#pragma once

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "bench/nexmark/queries/winning_bids.h"
#include "operators/changelog.h"

namespace tidemill::nexmark {

struct SellerPrice {
  std::int64_t seller;
  std::int64_t mean_price;
  [[nodiscard]] auto identity() const { return std::tuple(seller); }
};
BOOST_DESCRIBE_STRUCT(SellerPrice, (), (seller, mean_price))

struct LastPrices {
  static constexpr std::size_t kMost = 10;
  std::vector<std::pair<EventTime, std::int64_t>> prices;  // in the order of their bids' times

  void add(const WinningBid& bid) { insert({bid.at, bid.price}); }
  void merge(const LastPrices& other) {
    for (const auto& price : other.prices) insert(price);
  }
  // Halves are rounded up.
  [[nodiscard]] std::int64_t result() const {
    const auto n = static_cast<std::int64_t>(prices.size());
    const std::int64_t sum =
        std::accumulate(prices.begin(), prices.end(), std::int64_t{0},
                        [](std::int64_t s, const auto& p) { return s + p.second; });
    return n == 0 ? 0 : (2 * sum + n) / (2 * n);
  }

 private:
  void insert(const std::pair<EventTime, std::int64_t>& price) {
    prices.insert(std::upper_bound(prices.begin(), prices.end(), price), price);
    if (prices.size() > kMost) prices.erase(prices.begin());
  }
};
BOOST_DESCRIBE_STRUCT(LastPrices, (), (prices))

inline Stream<Change<SellerPrice>> q6(const Events& in) {
  return winning_bids<WinningRule::kReserve>(in)
      .key_by(&WinningBid::seller)
      .aggregate<LastPrices>("last_prices_of_seller")
      .map([](const auto& change) {
        return Change<SellerPrice>{change.kind, {change.row.key, change.row.value}};
      });
}

}  // namespace tidemill::nexmark
