// The winning bid of each auction, once it is over: what q4, q6 and q9 begin with. A process
// function with two inputs.
#pragma once

#include <vector>

#include "bench/nexmark/queries/events.h"
#include "operators/connected_streams.h"
#include "operators/function_state.h"
#include "operators/process_function.h"

namespace tidemill::nexmark {

struct WinningBid {
  std::int64_t auction;
  std::int64_t category;
  std::int64_t seller;
  std::int64_t bidder;
  std::int64_t price;
  EventTime at;  // of the bid
};
BOOST_DESCRIBE_STRUCT(WinningBid, (), (auction, category, seller, bidder, price, at))

enum class WinningRule {
  kHighest,  // of the bids from the auction's begin up to its end; Flink
  kReserve,  // of those before its end that reach the reserve; Beam
};

// Left: auctions, right: bids, both by the auction. The highest bid wins, of several the earliest.
// A bid may come before its auction, and waits until no auction can come that it counts for. What
// is known of an auction is kept for ten minutes after its end, so that bids that come too late are
// known as such.
template <WinningRule kRule>
class WinningBids {
 public:
  using Out = WinningBid;
  using Context = ProcessContext<std::int64_t, WinningBid>;

  explicit WinningBids(StateContext<std::int64_t>& state)
      : auction_(state, "auction"), early_(state, "early") {}

  void process_left(const Auction& a, Context& ctx) {
    AuctionSoFar& auction = auction_.value();
    auction.begin = a.at;
    auction.end = a.expires;
    auction.reserve = a.reserve;
    auction.winner = {a.id, a.category, a.seller, 0, kNone, {}};
    ctx.set_timer(a.expires);
    const auto* early = early_.find();
    if (early == nullptr) return;
    for (const EarlyBid& b : *early) offer(auction, b);
    early_.clear();
  }

  void process_right(const Bid& b, Context& ctx) {
    const EarlyBid bid{b.bidder, b.price, b.at};
    const AuctionSoFar* auction = auction_.find();
    if (auction == nullptr) {
      early_.value().push_back(bid);
      ctx.set_timer(b.at);
    } else if (is_better(*auction, bid)) {
      offer(auction_.value(), bid);
    }
  }

  void on_timer(const FiredTimer& timer, Context& ctx) {
    if (early_.find() != nullptr) {
      // Auctions from here on are later than these bids.
      auto& bids = early_.value();
      std::erase_if(bids, [&](const EarlyBid& b) { return b.at <= timer.time; });
      if (bids.empty()) early_.clear();
    }
    const AuctionSoFar* auction = auction_.find();
    if (auction == nullptr || timer.time < auction->end) return;
    if (timer.time >= auction->end + kMemory) {
      auction_.clear();
    } else if (timer.time == auction->end) {
      if (auction->winner.price != kNone) ctx.emit(auction->winner);
      ctx.set_timer(auction->end + kMemory);
    }
  }

 private:
  static constexpr std::int64_t kNone = -1;
  static constexpr Duration kMemory = 10min;

  struct AuctionSoFar {
    EventTime begin;
    EventTime end;
    std::int64_t reserve = 0;
    WinningBid winner{};
    BOOST_DESCRIBE_CLASS(AuctionSoFar, (), (begin, end, reserve, winner), (), ())
  };
  struct EarlyBid {
    std::int64_t bidder;
    std::int64_t price;
    EventTime at;
    BOOST_DESCRIBE_CLASS(EarlyBid, (), (bidder, price, at), (), ())
  };

  static bool is_better(const AuctionSoFar& a, const EarlyBid& b) {
    if (b.at < a.begin || b.at > a.end) return false;
    if (kRule == WinningRule::kReserve && (b.at == a.end || b.price < a.reserve)) return false;
    return b.price > a.winner.price || (b.price == a.winner.price && b.at < a.winner.at);
  }
  static void offer(AuctionSoFar& a, const EarlyBid& b) {
    if (!is_better(a, b)) return;
    a.winner.bidder = b.bidder;
    a.winner.price = b.price;
    a.winner.at = b.at;
  }

  ValueState<std::int64_t, AuctionSoFar> auction_;
  ValueState<std::int64_t, std::vector<EarlyBid>> early_;
};

template <WinningRule kRule = WinningRule::kHighest>
Stream<WinningBid> winning_bids(const Events& in) {
  return in.auctions.key_by(&Auction::id)
      .connect(in.bids.key_by(&Bid::auction))
      .template process<WinningBids<kRule>>("winning_bids");
}

}  // namespace tidemill::nexmark
