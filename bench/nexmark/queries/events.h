// What the queries read: Nexmark's three streams, from wherever they come.
#pragma once

#include <boost/describe.hpp>

#include "bench/nexmark/event.h"
#include "operators/stream.h"

namespace tidemill::nexmark {

struct Events {
  Stream<Person> persons;
  Stream<Auction> auctions;
  Stream<Bid> bids;
};

}  // namespace tidemill::nexmark
