#include "engine/runtime/input_gate.h"

#include <deque>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Channels into one gate. `edges[i]`: the edge, and operator input, of channel i.
class Inputs {
 public:
  explicit Inputs(const std::vector<std::size_t>& edges, EventTime restored = EventTime::min()) {
    std::vector<InputGate::Input> inputs;
    for (const std::size_t edge : edges) {
      channels_.push_back(std::make_unique<Channel>());
      inputs.push_back({channels_.back().get(), static_cast<int>(edge), edge});
    }
    gate_ = std::make_unique<InputGate>(std::move(inputs), restored);
  }

  void record(std::size_t channel, int value) {
    auto batch = std::make_unique<Batch<int>>();
    batch->append(value, {0});
    channels_[channel]->push(Message(std::move(batch)));
  }
  void signal(std::size_t channel, const Signal& s) { channels_[channel]->push(Message(s)); }

  // Everything the gate gives, looking at channel `first` first.
  std::vector<std::string> drain(std::size_t first = 0) {
    std::vector<std::string> all;
    while (auto next = gate_->next(first)) {
      all.push_back(text(*next));
      gate_->release();
    }
    return all;
  }
  [[nodiscard]] bool is_full(std::size_t channel) const { return channels_[channel]->is_full(); }

 private:
  static std::string text(const InputGate::Next& next) {
    if (next.message.batch) {
      const auto& batch = static_cast<const Batch<int>&>(*next.message.batch);
      return std::to_string(batch[0].value) + " to " + std::to_string(next.port);
    }
    const Signal& s = next.message.signal;
    switch (s.kind) {
      case SignalKind::kWatermark: return "w" + std::to_string(s.time.ms);
      case SignalKind::kIdle: return "idle";
      case SignalKind::kActive: return "active";
      case SignalKind::kBarrier: return "barrier" + std::to_string(s.checkpoint);
      case SignalKind::kEnd: return "end";
    }
    return "?";
  }

  std::vector<std::unique_ptr<Channel>> channels_;
  std::unique_ptr<InputGate> gate_;
};

TEST(InputGateTest, BatchesKeepTheirOrderAndTheirPort) {
  Inputs in({0, 1});
  in.record(0, 1);
  in.record(0, 2);
  in.record(1, 3);
  EXPECT_THAT(in.drain(), ElementsAre("1 to 0", "2 to 0", "3 to 1"));
}

TEST(InputGateTest, WatermarkIsTheLeastOfTheChannels) {
  Inputs in({0, 0});
  in.signal(0, Signal::watermark({10}));
  EXPECT_THAT(in.drain(), IsEmpty());
  in.signal(1, Signal::watermark({5}));
  EXPECT_THAT(in.drain(), ElementsAre("w5"));
  in.signal(1, Signal::watermark({20}));
  EXPECT_THAT(in.drain(), ElementsAre("w10"));
}

TEST(InputGateTest, BarrierComesOnceAllHaveItAndHoldsBackWhatFollows) {
  Inputs in({0, 0});
  in.record(0, 1);
  in.signal(0, Signal::barrier(7));
  in.record(0, 2);
  in.record(1, 3);
  EXPECT_THAT(in.drain(), ElementsAre("1 to 0", "3 to 0"));
  in.signal(1, Signal::barrier(7));
  in.record(1, 4);
  EXPECT_THAT(in.drain(), ElementsAre("barrier7", "2 to 0", "4 to 0"));
}

TEST(InputGateTest, AnEndedChannelStillBringsBarriers) {
  Inputs in({0, 0});
  in.signal(0, Signal::end());
  in.signal(1, Signal::barrier(1));
  in.record(1, 1);
  EXPECT_THAT(in.drain(), IsEmpty());
  in.signal(0, Signal::barrier(1));
  EXPECT_THAT(in.drain(), ElementsAre("barrier1", "1 to 0"));
}

TEST(InputGateTest, EndComesOnceAllHaveEndedBehindTheLastWatermark) {
  Inputs in({0, 0});
  in.signal(0, Signal::watermark({10}));
  in.signal(0, Signal::end());
  EXPECT_THAT(in.drain(), IsEmpty());
  in.signal(1, Signal::watermark({10}));
  EXPECT_THAT(in.drain(), ElementsAre("w10"));
  in.signal(1, Signal::end());
  EXPECT_THAT(in.drain(), ElementsAre("end"));
}

// The subtasks of a source that was idle: one of them has a record and says what event time follows
// from it, the other has only heard of that. Its word must not overtake the record.
TEST(InputGateTest, NoChannelOvertakesARecordOfAnotherOneThatWasIdle) {
  for (const std::size_t first : {0U, 1U}) {
    Inputs in({0, 0});
    for (const std::size_t channel : {0U, 1U}) {
      in.signal(channel, Signal::watermark({10}));
      in.signal(channel, Signal::idle());
    }
    EXPECT_THAT(in.drain(), ElementsAre("w10", "idle"));
    in.signal(0, Signal::active());
    in.record(0, 15);
    in.signal(0, Signal::watermark({15}));
    in.signal(1, Signal::active());
    in.signal(1, Signal::watermark({15}));
    EXPECT_THAT(in.drain(first), ElementsAre("active", "15 to 0", "w15")) << "first " << first;
  }
}

TEST(InputGateTest, AnEdgeIsIdleOnceAllItsChannelsAre) {
  Inputs in({0, 0});
  in.signal(0, Signal::idle());
  EXPECT_THAT(in.drain(), IsEmpty());
  in.signal(1, Signal::idle());
  EXPECT_THAT(in.drain(), ElementsAre("idle"));
  in.signal(1, Signal::active());
  EXPECT_THAT(in.drain(), ElementsAre("active"));
}

TEST(InputGateTest, AnIdleEdgeIsLeftOutOfTheMinimum) {
  Inputs in({0, 1});
  in.signal(0, Signal::watermark({10}));
  in.signal(1, Signal::idle());
  EXPECT_THAT(in.drain(), ElementsAre("w10"));
  in.signal(1, Signal::active());
  in.signal(0, Signal::watermark({30}));
  in.signal(1, Signal::watermark({20}));
  EXPECT_THAT(in.drain(1), ElementsAre("w20"));
}

TEST(InputGateTest, TheRestoredWatermarkHolds) {
  Inputs in({0}, EventTime{10});
  in.signal(0, Signal::watermark({5}));
  in.signal(0, Signal::watermark({11}));
  EXPECT_THAT(in.drain(), ElementsAre("w11"));
}

TEST(InputGateTest, ABatchCountsAgainstItsChannelUntilReleased) {
  Channel channel(1);
  InputGate gate({{&channel, 0, 0}}, EventTime::min());
  auto batch = std::make_unique<Batch<int>>();
  batch->append(1, {0});
  channel.push(Message(std::move(batch)));
  EXPECT_TRUE(channel.is_full());
  ASSERT_TRUE(gate.next(0));
  EXPECT_TRUE(channel.is_full());
  gate.release();
  EXPECT_FALSE(channel.is_full());
}

}  // namespace
}  // namespace tidemill
