// What an exchange makes of batches.
#include "engine/runtime/exchange.h"

#include <cstdint>
#include <deque>
#include <gtest/gtest.h>
#include <memory>
#include <numeric>
#include <set>
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

TEST(KeyExchangeTest, EachOfSeveralReceiversGetsItsUsersInOrderAndHashed) {
  constexpr std::int64_t kClicks = 10'000;
  for (const std::size_t receivers : {2U, 3U, 16U}) {
    std::deque<Channel> channels;
    std::vector<Channel*> targets;
    for (std::size_t i = 0; i < receivers; ++i)
      targets.push_back(&channels.emplace_back(std::size_t{1} << 20));
    ClickExchange exchange{targets, kDefaultKeyGroups, &Click::user};
    std::vector<std::vector<std::int64_t>> expected(receivers);
    for (std::int64_t sent = 0; sent < kClicks;) {
      auto batch = std::make_unique<Batch<Click>>();
      for (std::int64_t left = 1 + sent % 300; left > 0; --left, ++sent) {
        batch->append({sent}, EventTime{sent});
        const KeyGroup group = key_group_of(stable_hash(sent), kDefaultKeyGroups);
        const int to = subtask_of(group, kDefaultKeyGroups, static_cast<int>(receivers));
        expected[static_cast<std::size_t>(to)].push_back(sent);
      }
      exchange.push(std::move(batch));
    }
    exchange.flush();
    for (std::size_t to = 0; to < receivers; ++to)
      EXPECT_EQ(received(channels[to]), expected[to]) << to << " of " << receivers;
  }
}

// What a receiver is done with is filled again: the sender asks for no more memory.
TEST(KeyExchangeTest, MemoryOfBatchesComesBack) {
  Channel left{1 << 20};
  Channel right{1 << 20};
  ClickExchange exchange{{&left, &right}, kDefaultKeyGroups, &Click::user};
  std::set<const Record<Click>*> used;
  for (int round = 0; round < 20; ++round) {
    auto batch = std::make_unique<Batch<Click>>();
    for (std::int64_t user = 0; user < 100; ++user) batch->append({user}, EventTime{});
    exchange.push(std::move(batch));
    exchange.flush();
    for (Channel* channel : {&left, &right}) {
      std::deque<Message> messages;
      ASSERT_TRUE(channel->take_all(messages));
      used.insert(&static_cast<const Batch<Click>&>(*messages.front().batch)[0]);
    }
  }
  EXPECT_EQ(used.size(), 2U);
}

// Batches may outlive the exchange they come from.
TEST(KeyExchangeTest, ABatchMayEndAfterItsExchange) {
  Channel left{1 << 20};
  Channel right{1 << 20};
  {
    ClickExchange exchange{{&left, &right}, kDefaultKeyGroups, &Click::user};
    auto batch = std::make_unique<Batch<Click>>();
    for (std::int64_t user = 0; user < 100; ++user) batch->append({user}, EventTime{});
    exchange.push(std::move(batch));
    exchange.flush();
  }
  EXPECT_EQ(received(left).size() + received(right).size(), 100U);
}

}  // namespace
}  // namespace tidemill
