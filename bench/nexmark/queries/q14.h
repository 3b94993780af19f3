// q14: bids within a price range, by the time of day.
#pragma once

#include <algorithm>
#include <string_view>

#include "bench/nexmark/day.h"
#include "bench/nexmark/queries/events.h"

namespace tidemill::nexmark {

struct TimedBid {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t euro_thousandths;
  std::string_view time_of_day;  // a literal
  EventTime at;
  Text extra;
  std::int64_t num_c;
};
BOOST_DESCRIBE_STRUCT(TimedBid, (),
                      (auction, bidder, euro_thousandths, time_of_day, at, extra, num_c))

inline std::string_view time_of_day(EventTime at) {
  const std::int64_t hour = minute_of_day(at) / 60;
  if (hour >= 8 && hour <= 18) return "dayTime";
  if (hour <= 6 || hour >= 20) return "nightTime";
  return "otherTime";
}

inline Stream<TimedBid> q14(const Events& in) {
  return in.bids
      .filter([](const Bid& b) {
        const std::int64_t price = 908 * b.price;
        return price > 1'000'000'000 && price < 50'000'000'000;
      })
      .map([](const Bid& b) {
        const std::string_view extra = b.extra;
        return TimedBid{b.auction,
                        b.bidder,
                        908 * b.price,
                        time_of_day(b.at),
                        b.at,
                        b.extra,
                        std::count(extra.begin(), extra.end(), 'c')};
      });
}

}  // namespace tidemill::nexmark
