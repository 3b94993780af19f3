// q12: how many bids a bidder makes in ten seconds by the clock. Another run gives other rows; what
// is certain is that each bid counts once.
#pragma once

#include "bench/nexmark/queries/events.h"
#include "operators/aggregates.h"
#include "operators/keyed_stream.h"

namespace tidemill::nexmark {

struct BidderCount {
  std::int64_t bidder;
  std::int64_t bids;
  EventTime window_start;
  EventTime window_end;
  // What the rows of any run add up to.
  [[nodiscard]] std::int64_t weight() const { return bids; }
};
BOOST_DESCRIBE_STRUCT(BidderCount, (), (bidder, bids, window_start, window_end))

inline Stream<BidderCount> q12(const Events& in) {
  return in.bids.key_by(&Bid::bidder)
      .window(ProcessingTumbling{10s})
      .aggregate<Count>("bids_by_the_clock")
      .map([](const auto& row) {
        return BidderCount{row.key, row.value, row.window.start, row.window.end};
      });
}

}  // namespace tidemill::nexmark
