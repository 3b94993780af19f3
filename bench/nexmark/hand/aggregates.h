// q15 to q19 by hand.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_set.hpp>

#include "bench/nexmark/day.h"
#include "bench/nexmark/hand/loop.h"

namespace tidemill::nexmark::hand {

// 0 below 10,000, 1 below 1,000,000, 2 for the rest.
inline std::size_t rank_of(std::int64_t price) {
  return price < 10'000 ? 0 : price < 1'000'000 ? 1 : 2;
}

struct BidStatistics {
  using Ids = boost::unordered_flat_map<std::int64_t, std::uint8_t>;  // a bit per rank

  std::array<std::int64_t, 3> bids{};
  Ids bidders;
  Ids auctions;

  void add(const Bid& b) {
    const std::size_t rank = rank_of(b.price);
    ++bids[rank];
    bidders[b.bidder] |= static_cast<std::uint8_t>(1U << rank);
    auctions[b.auction] |= static_cast<std::uint8_t>(1U << rank);
  }
  static std::array<std::int64_t, 3> by_rank(const Ids& ids) {
    std::array<std::int64_t, 3> n{};
    for (const auto& [_, ranks] : ids) {
      for (std::size_t rank = 0; rank < 3; ++rank) n[rank] += ranks >> rank & 1;
    }
    return n;
  }
};

template <class Rows, class... Key>
void give_out(Rows& rows, const BidStatistics& s, const Key&... key) {
  const auto b = BidStatistics::by_rank(s.bidders);
  const auto a = BidStatistics::by_rank(s.auctions);
  rows(key..., s.bids[0] + s.bids[1] + s.bids[2], s.bids[0], s.bids[1], s.bids[2], s.bidders.size(),
       b[0], b[1], b[2], s.auctions.size(), a[0], a[1], a[2]);
}

template <class Rows>
void q15(const EventLog& log, Rows& rows) {
  HashMap<std::int64_t, BidStatistics> days;
  for (const Bid& b : log.bids) days[day_of(b.at).ms].add(b);
  for (const auto& [day, s] : days) give_out(rows, s, day_text(EventTime{day}));
}

template <class Rows>
void q16(const EventLog& log, Rows& rows) {
  struct Channel {
    std::int64_t last_minute = 0;
    BidStatistics statistics;
  };
  HashMap<std::pair<std::string_view, std::int64_t>, Channel> channels;
  for (const Bid& b : log.bids) {
    Channel& c = channels[{b.channel.view(), day_of(b.at).ms}];
    c.last_minute = std::max(c.last_minute, minute_of_day(b.at));
    c.statistics.add(b);
  }
  for (const auto& [key, c] : channels)
    give_out(rows, c.statistics, key.first, day_text(EventTime{key.second}),
             minute_text(c.last_minute));
}

template <class Rows>
void q17(const EventLog& log, Rows& rows) {
  struct Prices {
    std::array<std::int64_t, 3> bids{};
    std::int64_t min = INT64_MAX;
    std::int64_t max = 0;
    std::int64_t sum = 0;
  };
  HashMap<std::pair<std::int64_t, std::int64_t>, Prices> auctions;
  for (const Bid& b : log.bids) {
    Prices& p = auctions[{b.auction, day_of(b.at).ms}];
    ++p.bids[rank_of(b.price)];
    p.min = std::min(p.min, b.price);
    p.max = std::max(p.max, b.price);
    p.sum += b.price;
  }
  for (const auto& [key, p] : auctions) {
    const std::int64_t n = p.bids[0] + p.bids[1] + p.bids[2];
    rows(key.first, day_text(EventTime{key.second}), n, p.bids[0], p.bids[1], p.bids[2], p.min,
         p.max, p.sum / n, p.sum);
  }
}

template <class Rows>
void q18(const EventLog& log, Rows& rows) {
  HashMap<std::pair<std::int64_t, std::int64_t>, const Bid*> last;
  for (const Bid& b : log.bids) {
    const Bid*& former = last[{b.bidder, b.auction}];
    if (former == nullptr || b.at >= former->at) former = &b;
  }
  for (const auto& [_, b] : last)
    rows(b->auction, b->bidder, b->price, b->channel, b->url, b->at, b->extra);
}

template <class Rows>
void q19(const EventLog& log, Rows& rows) {
  constexpr std::size_t kBest = 10;
  struct Best {
    std::array<std::int64_t, kBest> prices;  // highest first
    std::size_t size = 0;
  };
  HashMap<std::int64_t, Best> auctions;
  for (const Bid& b : log.bids) {
    Best& best = auctions[b.auction];
    if (best.size == kBest && b.price <= best.prices[kBest - 1]) continue;
    std::size_t at = best.size < kBest ? best.size++ : kBest - 1;
    for (; at > 0 && best.prices[at - 1] < b.price; --at) best.prices[at] = best.prices[at - 1];
    best.prices[at] = b.price;
  }
  for (const auto& [auction, best] : auctions) {
    for (std::size_t i = 0; i < best.size; ++i) rows(auction, best.prices[i], i + 1);
  }
}

}  // namespace tidemill::nexmark::hand
