// q21: bids with the id of their channel, by its name or from the url.
#pragma once

#include <optional>
#include <string_view>

#include "bench/nexmark/queries/events.h"

namespace tidemill::nexmark {

struct ChannelBid {
  std::int64_t auction;
  std::int64_t bidder;
  std::int64_t price;
  Text channel;
  Text channel_id;
};
BOOST_DESCRIBE_STRUCT(ChannelBid, (), (auction, bidder, price, channel, channel_id))

inline std::optional<std::string_view> channel_id(std::string_view channel, std::string_view url) {
  if (channel == "Apple") return "0";
  if (channel == "Google") return "1";
  if (channel == "Facebook") return "2";
  if (channel == "Baidu") return "3";
  constexpr std::string_view kParameter = "&channel_id=";
  const std::size_t at = url.find(kParameter);
  if (at == std::string_view::npos) return std::nullopt;
  url.remove_prefix(at + kParameter.size());
  return url.substr(0, url.find('&'));
}

inline Stream<ChannelBid> q21(const Events& in) {
  return in.bids.flat_map<ChannelBid>([](const Bid& b, auto emit) {
    if (const auto id = channel_id(b.channel, b.url))
      emit(ChannelBid{b.auction, b.bidder, b.price, b.channel, Text(*id)});
  });
}

}  // namespace tidemill::nexmark
