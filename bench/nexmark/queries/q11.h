// q11: how many bids a bidder makes in a session, which ends after ten seconds without one.
#pragma once

#include "bench/nexmark/queries/events.h"
#include "operators/aggregates.h"
#include "operators/keyed_stream.h"

namespace tidemill::nexmark {

struct BidderSession {
  std::int64_t bidder;
  std::int64_t bids;
  EventTime first;
  EventTime end;
};
BOOST_DESCRIBE_STRUCT(BidderSession, (), (bidder, bids, first, end))

inline Stream<BidderSession> q11(const Events& in) {
  return in.bids.key_by(&Bid::bidder)
      .window(Session{10s})
      .append_only()
      .aggregate<Count>("bids_of_session")
      .map([](const auto& row) {
        return BidderSession{row.key, row.value, row.window.start, row.window.end};
      });
}

}  // namespace tidemill::nexmark
