// q3, q4, q9, q20 by hand.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/nexmark/hand/loop.h"

namespace tidemill::nexmark::hand {

template <class Rows>
void q3(const EventLog& log, Rows& rows) {
  HashMap<std::int64_t, const Person*> persons;
  HashMap<std::int64_t, std::vector<std::int64_t>> auctions;  // by seller
  const auto give_out = [&](const Person& p, std::int64_t auction) {
    rows(p.name, p.city, p.state, auction);
  };
  in_order(
      log,
      [&](const Person& p) {
        const std::string_view state = p.state;
        if (state != "or" && state != "id" && state != "ca") return;
        persons.emplace(p.id, &p);
        if (const auto found = auctions.find(p.id); found != auctions.end()) {
          for (const std::int64_t auction : found->second) give_out(p, auction);
        }
      },
      [&](const Auction& a) {
        if (a.category != 10) return;
        auctions[a.seller].push_back(a.id);
        if (const auto found = persons.find(a.seller); found != persons.end())
          give_out(*found->second, a.id);
      },
      kSkip);
}

// The best bid of each auction; bids that come before it wait for it.
struct AuctionState {
  const Auction* auction = nullptr;
  const Bid* best = nullptr;
};

class Winners {
 public:
  void take(const Auction& a) {
    AuctionState& state = auctions_[a.id];
    state.auction = &a;
    if (const auto early = early_.find(a.id); early != early_.end()) {
      for (const Bid* b : early->second) offer(state, *b);
      early_.erase(early);
    }
  }
  void take(const Bid& b) {
    const auto found = auctions_.find(b.auction);
    if (found == auctions_.end()) {
      early_[b.auction].push_back(&b);
    } else {
      offer(found->second, b);
    }
  }
  template <class F>
  void for_each(F&& f) const {
    for (const auto& [_, state] : auctions_) {
      if (state.best != nullptr) f(*state.auction, *state.best);
    }
  }

 private:
  static void offer(AuctionState& state, const Bid& b) {
    if (b.at < state.auction->at || b.at > state.auction->expires) return;
    if (state.best == nullptr || b.price > state.best->price ||
        (b.price == state.best->price && b.at < state.best->at))
      state.best = &b;
  }

  HashMap<std::int64_t, AuctionState> auctions_;
  HashMap<std::int64_t, std::vector<const Bid*>> early_;
};

inline Winners winners_of(const EventLog& log) {
  Winners winners;
  in_order(
      log, kSkip, [&](const Auction& a) { winners.take(a); },
      [&](const Bid& b) { winners.take(b); });
  return winners;
}

template <class Rows>
void q4(const EventLog& log, Rows& rows) {
  HashMap<std::int64_t, std::pair<std::int64_t, std::int64_t>> by_category;  // sum, number
  winners_of(log).for_each([&](const Auction& a, const Bid& b) {
    auto& [sum, n] = by_category[a.category];
    sum += b.price;
    ++n;
  });
  for (const auto& [category, totals] : by_category) rows(category, totals.first / totals.second);
}

template <class Rows>
void q9(const EventLog& log, Rows& rows) {
  winners_of(log).for_each(
      [&](const Auction& a, const Bid& b) { rows(a.id, b.auction, b.bidder, b.price, b.at); });
}

template <class Rows>
void q20(const EventLog& log, Rows& rows) {
  HashMap<std::int64_t, const Auction*> auctions;  // of any category, or bids would wait for ever
  HashMap<std::int64_t, std::vector<const Bid*>> early;
  const auto give_out = [&](const Auction& a, const Bid& b) {
    if (a.category == 10) rows(b.auction, b.bidder, b.price, b.at, a.seller);
  };
  in_order(
      log, kSkip,
      [&](const Auction& a) {
        auctions.emplace(a.id, &a);
        if (const auto found = early.find(a.id); found != early.end()) {
          for (const Bid* b : found->second) give_out(a, *b);
          early.erase(found);
        }
      },
      [&](const Bid& b) {
        if (const auto found = auctions.find(b.auction); found != auctions.end()) {
          give_out(*found->second, b);
        } else {
          early[b.auction].push_back(&b);
        }
      });
}

}  // namespace tidemill::nexmark::hand
