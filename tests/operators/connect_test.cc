// Two streams into one operator, over whole jobs: by key on both sides, and with a broadcast one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "connectors/memory/memory_rows.h"
#include "connectors/memory/scripted_source.h"
#include "operators/connected_streams.h"
#include "operators/source.h"
#include "state/broadcast_state.h"
#include "state/keyed_value.h"
#include "testing/pipeline_harness.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::PipelineHarness;
using ::testing::UnorderedElementsAre;

struct Order {
  std::string user;
  std::int64_t at = 0;
  int price = 0;
};
struct Limit {
  std::string user;
  std::int64_t at = 0;
  int most = 0;
};

// Lets orders pass up to a limit of their user, which the other input sets.
class Gate final : public TwoInput<Order, Limit> {
 public:
  using Out = Order;
  static constexpr OutputPort<std::string> kTurnedAway{1};

  Gate(OperatorContext& ctx, int otherwise)
      : otherwise_(otherwise),
        limits_(ctx, "limits"),
        out_(ctx.output<Order>(0)),
        turned_away_(ctx.output(kTurnedAway)) {}

  void process_left(Batch<Order>& batch) override {
    for (const auto& [order, time] : batch) {
      const int* limit = limits_.find(order.user);
      if (order.price <= (limit == nullptr ? otherwise_ : *limit)) {
        out_.emit(order, time);
      } else {
        turned_away_.emit(order.user, time);
      }
    }
  }
  void process_right(Batch<Limit>& batch) override {
    for (const auto& record : batch) limits_[record.value.user] = record.value.most;
  }

 private:
  const int otherwise_;
  KeyedValue<std::string, int> limits_;
  Emitter<Order>& out_;
  Emitter<std::string>& turned_away_;
};

// The same with one limit for all, by its name.
class SharedGate final : public TwoInput<Order, Limit> {
 public:
  using Out = Order;

  explicit SharedGate(OperatorContext& ctx) : limits_(ctx, "limits"), out_(ctx.output<Order>(0)) {}

  void process_left(Batch<Order>& batch) override {
    const int* most = limits_.find("all");
    for (const auto& [order, time] : batch) {
      if (most == nullptr || order.price <= *most) out_.emit(order, time);
    }
  }
  void process_right(Batch<Limit>& batch) override {
    for (const auto& record : batch) {
      if (record.value.most == 0) {
        limits_.erase(record.value.user);
      } else {
        limits_.put(record.value.user, record.value.most);
      }
    }
  }

 private:
  BroadcastState<std::string, int> limits_;
  Emitter<Order>& out_;
};

class ConnectTest : public ::testing::Test {
 protected:
  template <class T>
  Stream<T> read(const std::string& name, const std::shared_ptr<Script<T>>& script) {
    return read_events(
        graph_, name, SourceSpec<T>{"script", read_script(script, 0, script->size())},
        [](const T& record) { return EventTime{record.at}; }, Duration(0));
  }
  template <class T, class Text>
  void show(const Stream<T>& stream, const std::string& name, Text text) {
    stream.sink_to(name, memory_sink(rows_[name] = std::make_shared<MemoryRows>()),
                   [text](const T& row, EventTime time, OutputBatch& out) {
                     out.begin_row();
                     out.end_key();
                     out.buffer() += text(row) + "@" + std::to_string(time.ms);
                     out.end_row();
                   });
  }
  std::vector<std::string> rows(const std::string& name) {
    std::vector<std::string> all;
    for (const MemoryRow& row : rows_.at(name)->take_written()) all.push_back(row.value);
    return all;
  }
  static std::string user_of(const Order& order) { return order.user; }

  std::shared_ptr<Script<Order>> orders_ =
      std::make_shared<Script<Order>>(std::vector<std::string>{"o0"});
  std::shared_ptr<Script<Limit>> limits_ =
      std::make_shared<Script<Limit>>(std::vector<std::string>{"l0", "l1"});
  std::shared_ptr<GraphBuilder> graph_ = std::make_shared<GraphBuilder>();
  std::map<std::string, std::shared_ptr<MemoryRows>> rows_;
};

TEST_F(ConnectTest, EqualKeysOfBothSidesMeetAndShareState) {
  const auto passed = read("orders", orders_)
                          .key_by(&Order::user)
                          .connect(read("limits", limits_).key_by(&Limit::user))
                          .process<Gate>("gate", 10);
  show(passed, "passed", &user_of);
  show(passed.side(Gate::kTurnedAway), "turned away", [](const std::string& user) { return user; });
  PipelineHarness harness(graph_->graph(), {.parallelism = 3});
  const auto order_of_each = [&](int price) {
    std::vector<Order> orders;
    for (const char* user : {"a", "b", "c", "d", "e"}) orders.push_back({user, 1, price});
    orders_->batch(0, orders);
    harness.run_until_quiet();
  };
  limits_->batch(0, {{"a", 1, 100}, {"c", 1, 3}});
  limits_->batch(1, {{"e", 1, 50}});
  harness.run_until_quiet();
  order_of_each(20);
  EXPECT_THAT(rows("passed"), UnorderedElementsAre("a@1", "e@1"));
  EXPECT_THAT(rows("turned away"), UnorderedElementsAre("b@1", "c@1", "d@1"));
  harness.restart(2);
  order_of_each(5);
  EXPECT_THAT(rows("passed"), UnorderedElementsAre("a@1", "b@1", "d@1", "e@1"));
  EXPECT_THAT(rows("turned away"), ElementsAre("c@1"));
}

TEST_F(ConnectTest, EverySubtaskKnowsTheWholeBroadcastStream) {
  const auto passed = read("orders", orders_)
                          .key_by(&Order::user)
                          .connect(read("limits", limits_).broadcast())
                          .process<SharedGate>("gate");
  show(passed, "passed", &user_of);
  PipelineHarness harness(graph_->graph(), {.parallelism = 2});
  const auto order_of_each = [&] {
    std::vector<Order> orders;
    for (const char* user : {"a", "b", "c", "d", "e"}) orders.push_back({user, 1, 20});
    orders_->batch(0, orders);
    harness.run_until_quiet();
    return rows("passed").size();
  };
  limits_->batch(1, {{"none", 1, 1}});
  harness.run_until_quiet();
  EXPECT_EQ(order_of_each(), 5);
  limits_->batch(0, {{"all", 1, 10}});
  harness.run_until_quiet();
  EXPECT_EQ(order_of_each(), 0);
  harness.restart(4);
  EXPECT_EQ(order_of_each(), 0) << "new subtasks have it too";
  limits_->batch(1, {{"all", 1, 30}});
  harness.run_until_quiet();
  EXPECT_EQ(order_of_each(), 5);
  harness.restart(1);
  EXPECT_EQ(order_of_each(), 5);
  limits_->batch(0, {{"all", 1, 0}});
  harness.run_until_quiet();
  EXPECT_EQ(order_of_each(), 5) << "no limit any more";
}

TEST_F(ConnectTest, APlanSaysWhatIsBroadcast) {
  show(read("orders", orders_)
           .key_by(&Order::user)
           .connect(read("limits", limits_).broadcast())
           .process<SharedGate>("gate"),
       "passed", &user_of);
  int by_key = 0;
  int broadcast = 0;
  const NodeId gate = graph_->graph().find("gate")->id;
  for (const Edge& edge : graph_->graph().edges) {
    if (edge.to != gate) continue;
    by_key += edge.partitioning == Partitioning::kByKey && edge.input == 0;
    broadcast += edge.partitioning == Partitioning::kBroadcast && edge.input == 1;
  }
  EXPECT_EQ(by_key, 1);
  EXPECT_EQ(broadcast, 1);
}

}  // namespace
}  // namespace tidemill
