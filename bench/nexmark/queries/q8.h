// q8: who joined and offered something within the same ten seconds.
#pragma once

#include <string>

#include "bench/nexmark/queries/events.h"
#include "operators/joined_streams.h"

namespace tidemill::nexmark {

struct NewSeller {
  std::int64_t id;
  std::string name;
  EventTime window_start;
};
BOOST_DESCRIBE_STRUCT(NewSeller, (), (id, name, window_start))

struct NewPerson {
  std::int64_t id;
  std::string name;
};
BOOST_DESCRIBE_STRUCT(NewPerson, (), (id, name))
struct Seller {
  std::int64_t id;
};
BOOST_DESCRIBE_STRUCT(Seller, (), (id))

inline Stream<NewSeller> q8(const Events& in) {
  const auto persons = in.persons.map([](const Person& p) {
    return NewPerson{p.id, p.name.str()};
  });
  const auto sellers = in.auctions.map([](const Auction& a) { return Seller{a.seller}; });
  return persons.key_by(&NewPerson::id)
      .co_group(sellers.key_by(&Seller::id))
      .window(Tumbling{10s})
      .apply<NewSeller>("new_sellers",
                        [](const auto& both, auto emit) {
                          if (both.right.empty()) return;
                          for (const NewPerson& p : both.left)
                            emit(NewSeller{p.id, p.name, both.window.start});
                        })
      .map([](const auto& row) { return row.value; });
}

}  // namespace tidemill::nexmark
