// q22: bids with the folders of their url.
#pragma once

#include <array>
#include <string_view>

#include "bench/nexmark/queries/events.h"

namespace tidemill::nexmark {

struct UrlBid {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t price;
  Text channel;
  Text dir1;
  Text dir2;
  Text dir3;
};
BOOST_DESCRIBE_STRUCT(UrlBid, (), (auction, bidder, price, channel, dir1, dir2, dir3))

// The first six parts between slashes.
inline std::array<Text, 6> url_parts(std::string_view url) {
  std::array<Text, 6> parts;
  for (Text& part : parts) {
    const std::size_t slash = url.find('/');
    part = Text(url.substr(0, slash));
    if (slash == std::string_view::npos) break;
    url.remove_prefix(slash + 1);
  }
  return parts;
}

inline Stream<UrlBid> q22(const Events& in) {
  return in.bids.map([](const Bid& b) {
    const auto parts = url_parts(b.url);
    return UrlBid{b.auction, b.bidder, b.price, b.channel, parts[3], parts[4], parts[5]};
  });
}

}  // namespace tidemill::nexmark
