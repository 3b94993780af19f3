// q7: the highest bids of every ten seconds, all that are equal.
#pragma once

#include <string>
#include <vector>

#include "bench/nexmark/queries/events.h"
#include "operators/window_all.h"

namespace tidemill::nexmark {

struct HighBid {
  std::int64_t auction;
  std::int64_t price;
  std::int64_t bidder;
  EventTime at;
  std::string extra;  // kept in state, so it is a copy
};
BOOST_DESCRIBE_STRUCT(HighBid, (), (auction, price, bidder, at, extra))

struct HighestBids {
  std::int64_t price = -1;
  std::vector<HighBid> bids;

  void add(const Bid& b) {
    if (b.price >= price) [[unlikely]]
      take(b);
  }
  void merge(const HighestBids& other) {
    if (other.price < price) return;
    if (other.price > price) bids.clear();
    price = other.price;
    bids.insert(bids.end(), other.bids.begin(), other.bids.end());
  }

 private:
  // Apart, so that the loop over all bids has the comparison only.
  [[gnu::noinline]] void take(const Bid& b) {
    if (b.price > price) bids.clear();
    price = b.price;
    bids.push_back({b.auction, b.price, b.bidder, b.at, b.extra.str()});
  }
};
BOOST_DESCRIBE_STRUCT(HighestBids, (), (price, bids))

inline Stream<HighBid> q7(const Events& in) {
  return in.bids.window_all(Tumbling{10s})
      .aggregate<HighestBids>("highest_bids")
      .flat_map<HighBid>([](const auto& row, auto emit) {
        for (const HighBid& bid : row.value.bids) emit(bid);
      });
}

}  // namespace tidemill::nexmark
