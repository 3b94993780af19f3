// q5, q7, q8, q11 by hand.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <boost/unordered/unordered_flat_set.hpp>

#include "bench/nexmark/hand/loop.h"

namespace tidemill::nexmark::hand {

// Counts per slice of 2 s, added to and taken from one running total.
template <class Rows>
void q5(const EventLog& log, Rows& rows) {
  constexpr std::int64_t kSlide = 2000;
  constexpr std::size_t kSlices = 5;
  std::array<HashMap<std::int64_t, std::int64_t>, kSlices> slices;
  HashMap<std::int64_t, std::int64_t> totals;
  std::int64_t slice = 0;  // number of the open one
  const auto close = [&] {
    for (const auto& [auction, n] : slices[static_cast<std::size_t>(slice) % kSlices])
      totals[auction] += n;
    std::int64_t most = 0;
    for (const auto& [_, n] : totals) most = std::max(most, n);
    for (const auto& [auction, n] : totals) {
      if (n == most) rows((slice + 1) * kSlide, auction, n);
    }
    ++slice;
    auto& oldest = slices[static_cast<std::size_t>(slice) % kSlices];
    for (const auto& [auction, n] : oldest) {
      const auto total = totals.find(auction);
      if ((total->second -= n) == 0) totals.erase(total);
    }
    oldest.clear();
  };
  if (!log.bids.empty()) slice = log.bids.front().at.ms / kSlide;
  for (const Bid& b : log.bids) {
    const std::int64_t number = b.at.ms / kSlide;
    while (slice < number) close();
    ++slices[static_cast<std::size_t>(slice) % kSlices][b.auction];
  }
  for (std::size_t i = 0; i < kSlices; ++i) close();
}

template <class Rows>
void q7(const EventLog& log, Rows& rows) {
  constexpr std::int64_t kSize = 10'000;
  std::int64_t end = 0;
  std::int64_t most = -1;
  std::vector<const Bid*> best;
  const auto close = [&] {
    for (const Bid* b : best) rows(b->auction, b->price, b->bidder, b->at, b->extra);
    most = -1;
    best.clear();
  };
  for (const Bid& b : log.bids) {
    if (b.at.ms >= end) {
      close();
      end = (b.at.ms / kSize + 1) * kSize;
    }
    if (b.price < most) continue;
    if (b.price > most) best.clear();
    most = b.price;
    best.push_back(&b);
  }
  close();
}

template <class Rows>
void q8(const EventLog& log, Rows& rows) {
  constexpr std::int64_t kSize = 10'000;
  std::int64_t end = 0;
  HashMap<std::int64_t, const Person*> persons;
  boost::unordered_flat_set<std::int64_t> sellers;
  const auto close = [&] {
    for (const auto& [id, p] : persons) {
      if (sellers.contains(id)) rows(id, p->name, end - kSize);
    }
    persons.clear();
    sellers.clear();
  };
  const auto move_to = [&](EventTime at) {
    if (at.ms < end) return;
    close();
    end = (at.ms / kSize + 1) * kSize;
  };
  in_order(
      log,
      [&](const Person& p) {
        move_to(p.at);
        persons.emplace(p.id, &p);
      },
      [&](const Auction& a) {
        move_to(a.at);
        sellers.insert(a.seller);
      },
      kSkip);
  close();
}

template <class Rows>
void q11(const EventLog& log, Rows& rows) {
  constexpr std::int64_t kGap = 10'000;
  struct Session {
    std::int64_t bids = 0;
    std::int64_t first = 0;
    std::int64_t last = 0;
  };
  HashMap<std::int64_t, Session> sessions;
  const auto give_out = [&](std::int64_t bidder, const Session& s) {
    rows(bidder, s.bids, s.first, s.last + kGap);
  };
  for (const Bid& b : log.bids) {
    Session& s = sessions[b.bidder];
    if (s.bids > 0 && b.at.ms > s.last + kGap) {
      give_out(b.bidder, s);
      s.bids = 0;
    }
    if (s.bids++ == 0) s.first = b.at.ms;
    s.last = b.at.ms;
  }
  for (const auto& [bidder, s] : sessions) give_out(bidder, s);
}

}  // namespace tidemill::nexmark::hand
