// Bids, bidders and auctions of a group of bids (a day, a channel's day), by the rank of their
// price: what q15 and q16 count. Who is new to a group is found per bidder and per auction, so that
// sets of any size are spread and stored by their elements; the group itself only adds up.
#pragma once

#include <string>
#include <utility>

#include "bench/nexmark/day.h"
#include "bench/nexmark/queries/events.h"
#include "bench/nexmark/queries/price_rank.h"
#include "operators/function_state.h"
#include "operators/keyed_stream.h"

namespace tidemill::nexmark {

enum class Counted : std::uint8_t { kBidders, kAuctions };

// What a bid adds to its group: that its bidder or auction is new there, with its price's rank or
// at all; the one with its auction also counts the bid.
template <class Group>
struct Contribution {
  Group group;
  std::int16_t minute;  // of the day
  std::uint8_t rank;
  Counted what;
  bool is_new;
  bool is_new_with_rank;
};

// Of all bids of a group.
struct BidStatistics {
  std::int64_t last_minute = 0;  // of the day
  CountsByRank bids{};
  std::int64_t bidders = 0;
  CountsByRank bidders_by_rank{};
  std::int64_t auctions = 0;
  CountsByRank auctions_by_rank{};

  template <class Group>
  void add(const Contribution<Group>& c) {
    const std::int64_t is_new = c.is_new ? 1 : 0;
    const std::int64_t is_new_with_rank = c.is_new_with_rank ? 1 : 0;
    if (c.what == Counted::kBidders) {
      bidders += is_new;
      bidders_by_rank[c.rank] += is_new_with_rank;
      return;
    }
    last_minute = std::max<std::int64_t>(last_minute, c.minute);
    ++bids[c.rank];
    auctions += is_new;
    auctions_by_rank[c.rank] += is_new_with_rank;
  }
  void merge(const BidStatistics& other) {
    last_minute = std::max(last_minute, other.last_minute);
    bidders += other.bidders;
    auctions += other.auctions;
    for (std::size_t rank = 0; rank < 3; ++rank) {
      bids[rank] += other.bids[rank];
      bidders_by_rank[rank] += other.bidders_by_rank[rank];
      auctions_by_rank[rank] += other.auctions_by_rank[rank];
    }
  }
  [[nodiscard]] std::int64_t all_bids() const { return bids[0] + bids[1] + bids[2]; }
};
BOOST_DESCRIBE_STRUCT(BidStatistics, (),
                      (last_minute, bids, bidders, bidders_by_rank, auctions, auctions_by_rank))

// Key: group and id.
template <class Group, Counted kWhat>
class NewInGroup {
 public:
  using Out = Contribution<Group>;
  using Key = std::pair<Group, std::int64_t>;

  explicit NewInGroup(StateContext<Key>& state) : ranks_(state, "ranks") {}

  void process(const Bid& bid, ProcessContext<Key, Out>& ctx) {
    const std::size_t rank = price_rank(bid.price);
    const auto bit = static_cast<std::uint8_t>(1U << rank);
    const std::uint8_t* seen = ranks_.find();
    const bool is_new = seen == nullptr;
    const bool is_new_with_rank = is_new || (*seen & bit) == 0;
    if (is_new_with_rank) ranks_.value() |= bit;
    if (kWhat == Counted::kBidders && !is_new_with_rank) return;
    ctx.emit({ctx.key().first, static_cast<std::int16_t>(minute_of_day(bid.at)),
              static_cast<std::uint8_t>(rank), kWhat, is_new, is_new_with_rank});
  }

 private:
  ValueState<Key, std::uint8_t> ranks_;  // a bit for each
};

// A changelog of Keyed<Group, BidStatistics>.
template <class Group, class GroupOf>
auto statistics_by(const Stream<Bid>& bids, GroupOf group_of) {
  const auto bidders =
      bids.key_by([group_of](const Bid& b) { return std::pair(group_of(b), b.bidder); })
          .template process<NewInGroup<Group, Counted::kBidders>>("new_bidders");
  const auto auctions =
      bids.key_by([group_of](const Bid& b) { return std::pair(group_of(b), b.auction); })
          .template process<NewInGroup<Group, Counted::kAuctions>>("new_auctions");
  return auctions.union_with(bidders)
      .key_by([](const Contribution<Group>& c) -> const Group& { return c.group; })
      .template aggregate<BidStatistics>("statistics");
}

}  // namespace tidemill::nexmark
