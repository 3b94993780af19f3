// What an exchange makes of batches for one receiver.
#include "engine/runtime/exchange.h"

#include <cstdint>
#include <deque>
#include <gtest/gtest.h>
#include <memory>
#include <numeric>
#include <vector>

namespace tidemill {
namespace {

struct Click {
  std::int64_t user;
};
using ClickExchange = KeyExchange<Click, std::int64_t Click::*>;

// In the order they came, each checked to have the hash of its user.
std::vector<std::int64_t> received(Channel& channel) {
  std::deque<Message> messages;
  channel.take_all(messages);
  std::vector<std::int64_t> users;
  for (const Message& message : messages) {
    const auto& batch = static_cast<const Batch<Click>&>(*message.batch);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      users.push_back(batch[i].value.user);
      EXPECT_EQ(batch.hash(i), stable_hash(batch[i].value.user));
    }
  }
  return users;
}

TEST(KeyExchangeTest, OneReceiverGetsSmallAndLargeBatchesInOrderAndHashed) {
  Channel channel{1 << 20};
  ClickExchange exchange{{&channel}, kDefaultKeyGroups, &Click::user};
  std::int64_t sent = 0;
  for (const std::size_t size : {std::size_t{3}, kBatchRows<Click>, std::size_t{1}, std::size_t{2},
                                 kBatchRows<Click> / 2, std::size_t{7}}) {
    auto batch = std::make_unique<Batch<Click>>();
    // Hashed by something else before.
    for (std::size_t i = 0; i < size; ++i) batch->append_hashed({sent++}, EventTime{}, 0);
    exchange.push(std::move(batch));
  }
  exchange.flush();
  std::vector<std::int64_t> expected(static_cast<std::size_t>(sent));
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(received(channel), expected);
}

TEST(KeyExchangeTest, OneReceiverGetsALargeBatchUncopied) {
  Channel channel{1 << 20};
  ClickExchange exchange{{&channel}, kDefaultKeyGroups, &Click::user};
  auto batch = std::make_unique<Batch<Click>>();
  for (std::size_t i = 0; i < kBatchRows<Click>; ++i) batch->append({1}, EventTime{});
  const BatchBase* const sent = batch.get();
  exchange.push(std::move(batch));
  std::deque<Message> messages;
  ASSERT_TRUE(channel.take_all(messages)) << "not held back either";
  EXPECT_EQ(messages.front().batch.get(), sent);
}

}  // namespace
}  // namespace tidemill
