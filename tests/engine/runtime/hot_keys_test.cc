// What an exchange knows of its hottest keys.
#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/base/metrics.h"
#include "engine/runtime/channel.h"
#include "engine/runtime/exchange.h"

namespace tidemill {
namespace {

using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;

struct Click {
  std::string user;
};
using ClickExchange = KeyExchange<Click, std::string Click::*>;
const Labels kLabels{{"operator", "clicks"}};
constexpr int kRecords = 1 << 20;

auto entry(const char* name, double share) {
  return AllOf(Field(&Ranking::Entry::name, name),
               Field(&Ranking::Entry::share, DoubleNear(share, 0.04)));
}

class HotKeysTest : public testing::Test {
 protected:
  // Sends `records` clicks of the users that `next` gives.
  template <class Next>
  void send(ClickExchange& exchange, int records, Next next) {
    constexpr int kBatch = 50;
    for (int sent = 0; sent < records; sent += kBatch) {
      auto batch = std::make_unique<Batch<Click>>();
      for (int i = 0; i < kBatch; ++i) batch->append({next()}, EventTime{sent});
      exchange.push(std::move(batch));
    }
    exchange.flush();
  }
  std::string user_of_many() { return "u" + std::to_string(random_() % 100'000); }

  std::mt19937 random_{3};
  MetricRegistry metrics_;
  Channel left_{1 << 20};
  Channel right_{1 << 20};
  ClickExchange exchange_{{&left_, &right_}, kDefaultKeyGroups, &Click::user};
};

TEST_F(HotKeysTest, NamesThoseWithTheGreatestSharesOfLate) {
  exchange_.meter(metrics_, kLabels);
  const Ranking& ranking = metrics_.ranking("tidemill_exchange_key_share", kLabels);
  send(exchange_, kRecords, [&] {
    const auto of_ten = random_() % 10;
    return of_ten < 3 ? "bot" : of_ten == 3 ? "shop" : user_of_many();
  });
  EXPECT_THAT(ranking.entries(), ElementsAre(entry("bot", 0.3), entry("shop", 0.1)));
  send(exchange_, kRecords, [&] { return random_() % 2 == 0 ? "other" : user_of_many(); });
  EXPECT_THAT(ranking.entries(), ElementsAre(entry("other", 0.5))) << "the former ones are past";
}

TEST_F(HotKeysTest, NoneIsHotAmongEqualOnes) {
  exchange_.meter(metrics_, kLabels);
  send(exchange_, kRecords, [&] { return user_of_many(); });
  EXPECT_THAT(metrics_.ranking("tidemill_exchange_key_share", kLabels).entries(), IsEmpty());
}

TEST_F(HotKeysTest, WithOneReceiverNobodyLooks) {
  ClickExchange exchange({&left_}, kDefaultKeyGroups, &Click::user);
  exchange.meter(metrics_, kLabels);
  send(exchange, kRecords, [] { return "bot"; });
  EXPECT_THAT(metrics_.ranking("tidemill_exchange_key_share", kLabels).entries(), IsEmpty());
}

}  // namespace
}  // namespace tidemill
