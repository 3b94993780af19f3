// q15: bids, bidders and auctions of each day.
#pragma once

#include <string>
#include <tuple>

#include "bench/nexmark/queries/bid_statistics.h"

namespace tidemill::nexmark {

struct DayStatistics {
  std::string day;
  std::int64_t bids, bids1, bids2, bids3;
  std::int64_t bidders, bidders1, bidders2, bidders3;
  std::int64_t auctions, auctions1, auctions2, auctions3;
  [[nodiscard]] auto identity() const { return std::tuple(day); }
};
BOOST_DESCRIBE_STRUCT(DayStatistics, (),
                      (day, bids, bids1, bids2, bids3, bidders, bidders1, bidders2, bidders3,
                       auctions, auctions1, auctions2, auctions3))

inline Stream<Change<DayStatistics>> q15(const Events& in) {
  return statistics_by<EventTime>(in.bids, [](const Bid& b) { return day_of(b.at); })
      .map([](const auto& change) {
        const BidStatistics& s = change.row.value;
        const auto& [b1, b2, b3] = s.bidders_by_rank;
        const auto& [a1, a2, a3] = s.auctions_by_rank;
        return Change<DayStatistics>{change.kind,
                                     {day_text(change.row.key), s.all_bids(), s.bids[0], s.bids[1],
                                      s.bids[2], s.bidders, b1, b2, b3, s.auctions, a1, a2, a3}};
      });
}

}  // namespace tidemill::nexmark
