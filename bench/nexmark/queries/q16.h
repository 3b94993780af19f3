// q16: bids, bidders and auctions of each channel and day.
#pragma once

#include <string>
#include <tuple>
#include <utility>

#include "bench/nexmark/queries/bid_statistics.h"

namespace tidemill::nexmark {

struct ChannelStatistics {
  std::string channel;
  std::string day;
  std::string minute;  // of the last bid
  std::int64_t bids, bids1, bids2, bids3;
  std::int64_t bidders, bidders1, bidders2, bidders3;
  std::int64_t auctions, auctions1, auctions2, auctions3;
  [[nodiscard]] auto identity() const { return std::tuple(channel, day); }
};
BOOST_DESCRIBE_STRUCT(ChannelStatistics, (),
                      (channel, day, minute, bids, bids1, bids2, bids3, bidders, bidders1, bidders2,
                       bidders3, auctions, auctions1, auctions2, auctions3))

inline Stream<Change<ChannelStatistics>> q16(const Events& in) {
  using ChannelDay = std::pair<std::string, EventTime>;
  return statistics_by<ChannelDay>(
             in.bids, [](const Bid& b) { return ChannelDay(b.channel.str(), day_of(b.at)); })
      .map([](const auto& change) {
        const BidStatistics& s = change.row.value;
        const auto& [channel, day] = change.row.key;
        const auto& [b1, b2, b3] = s.bidders_by_rank;
        const auto& [a1, a2, a3] = s.auctions_by_rank;
        return Change<ChannelStatistics>{
            change.kind,
            {channel, day_text(day), minute_text(s.last_minute), s.all_bids(), s.bids[0], s.bids[1],
             s.bids[2], s.bidders, b1, b2, b3, s.auctions, a1, a2, a3}};
      });
}

}  // namespace tidemill::nexmark
