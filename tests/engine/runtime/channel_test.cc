#include "engine/runtime/channel.h"

#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <thread>

namespace tidemill {
namespace {

AnyBatch batch(int value) {
  auto b = std::make_unique<Batch<int>>();
  b->append(value, {0});
  return b;
}
int value_of(const Message& message) {
  return static_cast<const Batch<int>&>(*message.batch)[0].value;
}

TEST(ChannelTest, IsFullUntilBatchesAreReleasedSignalsDoNotCount) {
  Channel channel(2);
  channel.push(Message(Signal::watermark({1})));
  channel.push(Message(batch(1)));
  EXPECT_FALSE(channel.is_full());
  channel.push(Message(batch(2)));
  EXPECT_TRUE(channel.is_full());
  std::deque<Message> taken;
  EXPECT_TRUE(channel.take_all(taken));
  EXPECT_EQ(taken.size(), 3U);
  EXPECT_TRUE(channel.is_empty());
  EXPECT_TRUE(channel.is_full());
  channel.release(1);
  EXPECT_FALSE(channel.is_full());
  EXPECT_FALSE(channel.take_all(taken));
}

// One thread pushes as a producer does, waiting for room; the other takes, releases, parks.
// Everything arrives once, in order.
TEST(ChannelTest, NothingIsLostBetweenTwoThreads) {
  constexpr int kMessages = 200000;
  Channel channel(4);
  Wakeup producer;
  Wakeup consumer;
  channel.set_producer(&producer);
  channel.set_consumer(&consumer);
  std::thread pushing([&] {
    for (int i = 0; i < kMessages; ++i) {
      while (channel.is_full()) producer.park(std::chrono::seconds(10));
      channel.push(Message(batch(i)));
    }
    channel.push(Message(Signal::end()));
  });
  std::deque<Message> taken;
  int expected = 0;
  bool has_ended = false;
  while (!has_ended) {
    if (!channel.take_all(taken)) {
      consumer.park(std::chrono::seconds(10));
      continue;
    }
    while (!taken.empty()) {
      const Message message = std::move(taken.front());
      taken.pop_front();
      if (!message.batch) {
        has_ended = message.signal.kind == SignalKind::kEnd;
        continue;
      }
      ASSERT_EQ(value_of(message), expected++);
      channel.release(1);
    }
  }
  pushing.join();
  EXPECT_EQ(expected, kMessages);
}

TEST(WakeupTest, ANotificationBeforeTheParkIsNotLost) {
  Wakeup wakeup;
  wakeup.notify();
  const auto start = std::chrono::steady_clock::now();
  wakeup.park(std::chrono::seconds(60));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

}  // namespace
}  // namespace tidemill
