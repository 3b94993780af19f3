// q3: who sells something of category 10 in three states; a join without a window. A person is
// there once, so an auction that has met its seller is not kept.
#pragma once

#include <string>
#include <string_view>

#include "bench/nexmark/queries/events.h"
#include "operators/joined_streams.h"

namespace tidemill::nexmark {

struct LocalAuction {
  std::string name;
  std::string city;
  std::string state;
  std::int64_t auction;
};
BOOST_DESCRIBE_STRUCT(LocalAuction, (), (name, city, state, auction))

// What the join keeps of both sides.
struct Resident {
  std::int64_t id;
  std::string name;
  std::string city;
  std::string state;
};
BOOST_DESCRIBE_STRUCT(Resident, (), (id, name, city, state))
struct OfferedAuction {
  std::int64_t id;
  std::int64_t seller;
};
BOOST_DESCRIBE_STRUCT(OfferedAuction, (), (id, seller))

inline Stream<LocalAuction> q3(const Events& in) {
  const auto residents = in.persons
                             .filter([](const Person& p) {
                               const std::string_view state = p.state;
                               return state == "or" || state == "id" || state == "ca";
                             })
                             .map([](const Person& p) {
                               return Resident{p.id, p.name.str(), p.city.str(), p.state.str()};
                             });
  const auto auctions = in.auctions.filter([](const Auction& a) { return a.category == 10; })
                            .map([](const Auction& a) {
                              return OfferedAuction{a.id, a.seller};
                            });
  return residents.key_by(&Resident::id)
      .join(auctions.key_by(&OfferedAuction::seller))
      .apply("local_auctions",
             [](const Resident& p, const OfferedAuction& a) {
               return LocalAuction{p.name, p.city, p.state, a.id};
             },
             {.left_is_unique = true});
}

}  // namespace tidemill::nexmark
