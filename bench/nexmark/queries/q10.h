// q10: every bid, in files by the minute of its time (kQ10Bucket of the file sink).
#pragma once

#include "bench/nexmark/queries/events.h"

namespace tidemill::nexmark {

inline constexpr const char* kQ10Bucket = "day=%Y-%m-%d/%H:%M";

struct LoggedBid {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t price;
  EventTime at;
  Text extra;
};
BOOST_DESCRIBE_STRUCT(LoggedBid, (), (auction, bidder, price, at, extra))

inline Stream<LoggedBid> q10(const Events& in) {
  return in.bids.map([](const Bid& b) {
    return LoggedBid{b.auction, b.bidder, b.price, b.at, b.extra};
  });
}

}  // namespace tidemill::nexmark
