// q0, q1, q2, q13, q14, q21, q22 by hand.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "bench/nexmark/day.h"
#include "bench/nexmark/hand/loop.h"

namespace tidemill::nexmark::hand {

template <class Rows>
void q0(const EventLog& log, Rows& rows) {
  for (const Bid& b : log.bids) rows(b.auction, b.bidder, b.price, b.at, b.extra);
}

template <class Rows>
void q1(const EventLog& log, Rows& rows) {
  for (const Bid& b : log.bids) rows(b.auction, b.bidder, 908 * b.price, b.at, b.extra);
}

template <class Rows>
void q2(const EventLog& log, Rows& rows) {
  for (const Bid& b : log.bids) {
    if (b.auction % 123 == 0) rows(b.auction, b.price);
  }
}

template <class Rows>
void q13(const EventLog& log, Rows& rows) {
  constexpr std::int64_t kSide = 10'000;
  std::vector<std::int64_t> side(kSide);
  for (std::int64_t i = 0; i < kSide; ++i) side[static_cast<std::size_t>(i)] = i;
  for (const Bid& b : log.bids)
    rows(b.auction, b.bidder, b.price, b.at, side[static_cast<std::size_t>(b.auction % kSide)]);
}

template <class Rows>
void q14(const EventLog& log, Rows& rows) {
  for (const Bid& b : log.bids) {
    const std::int64_t price = 908 * b.price;
    if (price <= 1'000'000'000 || price >= 50'000'000'000) continue;
    const std::int64_t hour = minute_of_day(b.at) / 60;
    const std::string_view label = hour >= 8 && hour <= 18   ? "dayTime"
                                   : hour <= 6 || hour >= 20 ? "nightTime"
                                                             : "otherTime";
    const std::string_view extra = b.extra;
    rows(b.auction, b.bidder, price, label, b.at, b.extra,
         std::count(extra.begin(), extra.end(), 'c'));
  }
}

template <class Rows>
void q21(const EventLog& log, Rows& rows) {
  static constexpr std::string_view kName = "channel_id=";
  for (const Bid& b : log.bids) {
    const std::string_view channel = b.channel;
    if (channel == "Apple") {
      rows(b.auction, b.bidder, b.price, channel, std::string_view("0"));
    } else if (channel == "Google") {
      rows(b.auction, b.bidder, b.price, channel, std::string_view("1"));
    } else if (channel == "Facebook") {
      rows(b.auction, b.bidder, b.price, channel, std::string_view("2"));
    } else if (channel == "Baidu") {
      rows(b.auction, b.bidder, b.price, channel, std::string_view("3"));
    } else {
      const std::string_view url = b.url;
      const std::size_t at = url.find(kName);
      if (at == std::string_view::npos || at == 0 || url[at - 1] != '&') continue;
      const std::string_view id = url.substr(at + kName.size());
      rows(b.auction, b.bidder, b.price, channel, id.substr(0, id.find('&')));
    }
  }
}

template <class Rows>
void q22(const EventLog& log, Rows& rows) {
  for (const Bid& b : log.bids) {
    std::string_view rest = b.url;
    std::array<std::string_view, 6> parts;
    for (std::string_view& part : parts) {
      const std::size_t slash = rest.find('/');
      part = rest.substr(0, slash);
      rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    }
    rows(b.auction, b.bidder, b.price, b.channel, parts[3], parts[4], parts[5]);
  }
}

}  // namespace tidemill::nexmark::hand
