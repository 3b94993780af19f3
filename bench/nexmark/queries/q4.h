// q4: the mean winning price of each category, as auctions end.
#pragma once

#include <tuple>

#include "bench/nexmark/queries/winning_bids.h"
#include "operators/changelog.h"

namespace tidemill::nexmark {

struct CategoryPrice {
  std::int64_t category;
  std::int64_t mean_price;
  [[nodiscard]] auto identity() const { return std::tuple(category); }
};
BOOST_DESCRIBE_STRUCT(CategoryPrice, (), (category, mean_price))

struct MeanOfPrices {
  std::int64_t sum = 0;
  std::int64_t auctions = 0;
  void add(const WinningBid& bid) {
    sum += bid.price;
    ++auctions;
  }
  void merge(const MeanOfPrices& other) {
    sum += other.sum;
    auctions += other.auctions;
  }
  [[nodiscard]] std::int64_t result() const { return auctions == 0 ? 0 : sum / auctions; }
};
BOOST_DESCRIBE_STRUCT(MeanOfPrices, (), (sum, auctions))

inline Stream<Change<CategoryPrice>> q4(const Events& in) {
  return winning_bids(in)
      .key_by(&WinningBid::category)
      .aggregate<MeanOfPrices>("mean_price_of_category")
      .map([](const auto& change) {
        return Change<CategoryPrice>{change.kind, {change.row.key, change.row.value}};
      });
}

}  // namespace tidemill::nexmark
