// q10: every bid, for files by the minute.
#pragma once

#include <string>

#include "bench/nexmark/day.h"
#include "bench/nexmark/queries/events.h"

namespace tidemill::nexmark {

struct LoggedBid {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t price;
  EventTime at;
  Text extra;
  // The part of the output it belongs to, day/HH:mm: the key by which sinks place it.
  [[nodiscard]] std::string part() const {
    return day_text(at) + "/" + minute_text(minute_of_day(at));
  }
};
BOOST_DESCRIBE_STRUCT(LoggedBid, (), (auction, bidder, price, at, extra))

inline Stream<LoggedBid> q10(const Events& in) {
  return in.bids.map([](const Bid& b) {
    return LoggedBid{b.auction, b.bidder, b.price, b.at, b.extra};
  });
}

}  // namespace tidemill::nexmark
