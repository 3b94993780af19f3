// q5: the auctions with the most bids in the last ten seconds, every two seconds.
#pragma once

#include <vector>

#include "bench/nexmark/queries/events.h"
#include "operators/aggregates.h"
#include "operators/keyed_stream.h"
#include "operators/window_all.h"

namespace tidemill::nexmark {

struct HotAuction {
  EventTime window_end;
  std::int64_t auction;
  std::int64_t bids;
};
BOOST_DESCRIBE_STRUCT(HotAuction, (), (window_end, auction, bids))

// The rows with the greatest count, all of them.
struct Hottest {
  std::int64_t most = 0;
  std::vector<std::int64_t> auctions;

  void add(const Windowed<std::int64_t, std::int64_t>& row) {
    if (row.value < most) return;
    if (row.value > most) auctions.clear();
    most = row.value;
    auctions.push_back(row.key);
  }
  void merge(const Hottest& other) {
    if (other.most < most) return;
    if (other.most > most) auctions.clear();
    most = other.most;
    auctions.insert(auctions.end(), other.auctions.begin(), other.auctions.end());
  }
};
BOOST_DESCRIBE_STRUCT(Hottest, (), (most, auctions))

inline Stream<HotAuction> q5(const Events& in) {
  return in.bids.key_by(&Bid::auction)
      .window(Sliding{.size = 10s, .slide = 2s})
      .aggregate<Count>("bids_of_auction")
      .window_all(Tumbling{2s})
      .aggregate<Hottest>("hottest_auctions")
      .flat_map<HotAuction>([](const auto& row, auto emit) {
        for (const std::int64_t auction : row.value.auctions)
          emit(HotAuction{row.window.end, auction, row.value.most});
      });
}

}  // namespace tidemill::nexmark
