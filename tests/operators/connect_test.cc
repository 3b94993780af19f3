// Two streams into one operator, over whole jobs: by key on both sides, and with a broadcast one.
#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "connectors/memory/memory_rows.h"
#include "connectors/memory/scripted_source.h"
#include "engine/graph/plan.h"
#include "operators/connected_streams.h"
#include "operators/joined_streams.h"
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
BOOST_DESCRIBE_STRUCT(Order, (), (user, at, price))
struct Limit {
  std::string user;
  std::int64_t at = 0;
  int most = 0;
};
BOOST_DESCRIBE_STRUCT(Limit, (), (user, at, most))

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

std::string with_limit(const Order* order, const Limit* limit) {
  return (order != nullptr ? std::to_string(order->price) : "-") + "/" +
         (limit != nullptr ? std::to_string(limit->most) : "-");
}

TEST_F(ConnectTest, EveryJoinHasItsSpelling) {
  const auto orders = read("orders", orders_).key_by(&Order::user);
  const auto limits = read("limits", limits_).key_by(&Limit::user);
  const auto as_it_is = [](const std::string& text) { return text; };
  const auto of_window = [](const Windowed<std::string, std::string>& row) { return row.value; };
  const auto pair = [](const Order& o, const Limit& l) { return with_limit(&o, &l); };
  show(orders.join(limits).window(Tumbling{Duration(10)}).apply("window join", pair), "window",
       of_window);
  const auto sizes = [](const CoGroup<std::string, Order, Limit>& group, auto&& emit) {
    emit(std::to_string(group.left.size()) + "+" + std::to_string(group.right.size()));
  };
  show(orders.co_group(limits).window(Tumbling{Duration(10)}).apply<std::string>("co-group", sizes),
       "groups", of_window);
  const auto interval = orders.interval_join<JoinType::kLeft>(limits)
                            .between(Duration(-1), Duration(2))
                            .apply("interval join", &with_limit);
  show(interval, "interval", as_it_is);
  show(interval.late_left(), "late orders", &user_of);
  show(interval.late_right(), "late limits", [](const Limit& limit) { return limit.user; });
  show(orders.as_of_join<JoinType::kLeft>(limits).apply("as-of join", &with_limit), "as of",
       as_it_is);
  show(orders.join(limits).apply("join", pair), "for ever", as_it_is);
  show(orders.join<JoinType::kLeft>(limits).apply("left join", &with_limit, {.ttl = Duration(50)}),
       "changes", [](const Change<std::string>& change) {
         return (change.is_delete() ? "delete " : "") + change.row;
       });
  show(orders.join(limits).apply("plain join"), "plain", [](const Joined<Order, Limit>& row) {
    return row.left->user + std::to_string(row.right->most);
  });
  PipelineHarness harness(graph_->graph(), {.parallelism = 2});
  orders_->batch(0, {{"a", 5, 50}, {"b", 6, 60}});
  harness.run_until_quiet();
  limits_->batch(0, {{"a", 4, 1}});
  harness.run_until_quiet();
  limits_->batch(1, {{"a", 8, 2}});
  harness.run_until_quiet();
  orders_->batch(0, {{"c", 30, 70}});
  harness.run_until_quiet();
  limits_->batch(0, {{"c", 40, 3}});
  harness.run_until_quiet();
  limits_->batch(1, {{"c", 40, 4}, {"c", 7, 5}});
  harness.run_until_quiet();
  orders_->batch(0, {{"c", 3, 80}});
  harness.run_until_quiet();
  EXPECT_THAT(rows("late orders"), ElementsAre("c@3"));
  EXPECT_THAT(rows("late limits"), ElementsAre("c@7"));
  orders_->end({0});
  limits_->end({0, 1});
  harness.run_until_quiet();
  EXPECT_THAT(rows("window"), UnorderedElementsAre("50/1@9", "50/2@9"));
  EXPECT_THAT(rows("groups"), UnorderedElementsAre("1+2@9", "1+0@9", "0+1@9", "1+0@39", "0+2@49"));
  EXPECT_THAT(rows("interval"), UnorderedElementsAre("50/1@5", "60/-@6", "70/-@30"));
  EXPECT_THAT(rows("as of"), UnorderedElementsAre("50/1@5", "60/-@6", "70/5@30"));
  EXPECT_THAT(rows("for ever"), UnorderedElementsAre("50/1@5", "50/2@8", "70/3@40", "70/4@40",
                                                     "70/5@30", "80/3@40", "80/4@40", "80/5@7"));
  EXPECT_THAT(rows("changes"),
              UnorderedElementsAre("50/-@5", "60/-@6", "delete 50/-@5", "50/1@5", "50/2@8",
                                   "70/-@30", "delete 70/-@40", "70/3@40", "70/4@40", "70/5@30",
                                   "80/3@40", "80/4@40", "80/5@7"));
  EXPECT_EQ(rows("plain").size(), 8);
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

// Which tasks a plan has: the names of their operators.
std::vector<std::string> tasks_of(const Graph& graph, int parallelism) {
  const Plan plan = make_plan(graph, parallelism);
  std::vector<std::string> tasks;
  for (const Chain& chain : plan.chains) {
    std::string& names = tasks.emplace_back();
    for (const NodeId id : chain.nodes) {
      const std::string& name = plan.graph.nodes[id].name;
      if (name.find('-') == std::string::npos) names += (names.empty() ? "" : " ") + name;
    }
  }
  return tasks;
}

TEST_F(ConnectTest, BothInputsFromOneTaskAreChainedWhereNothingIsToBeMoved) {
  const auto orders = read("orders", orders_);
  const auto limits =
      orders.filter([](const Order& o) { return o.price < 0; }).map([](const Order& o) {
        return Limit{o.user, o.at, -o.price};
      });
  show(orders.filter([](const Order& o) { return o.price >= 0; })
           .key_by(&Order::user)
           .connect(limits.key_by(&Limit::user))
           .process<Gate>("gate", 0),
       "passed", &user_of);
  EXPECT_THAT(tasks_of(graph_->graph(), 1), ElementsAre("orders gate passed"));
  EXPECT_THAT(tasks_of(graph_->graph(), 2), ElementsAre("orders", "gate passed"));
}

TEST_F(ConnectTest, InputsFromTwoTasksKeepTheirExchange) {
  show(read("orders", orders_)
           .key_by(&Order::user)
           .connect(read("limits", limits_).key_by(&Limit::user))
           .process<Gate>("gate", 10),
       "passed", &user_of);
  EXPECT_THAT(tasks_of(graph_->graph(), 1), ElementsAre("orders", "limits", "gate passed"));
}

// A stream joined with itself by another key, with a restart and a change of parallelism between.
TEST_F(ConnectTest, OneSourceOnBothSidesGivesTheSameChainedAndExchanged) {
  std::vector<std::vector<std::string>> seen;
  for (const int parallelism : {1, 3}) {
    orders_ = std::make_shared<Script<Order>>(std::vector<std::string>{"o0"});
    graph_ = std::make_shared<GraphBuilder>();
    const auto orders = read("orders", orders_);
    show(
        orders.filter([](const Order& o) { return o.price < 100; })
            .key_by(&Order::user)
            .join(orders.filter([](const Order& o) { return o.price >= 100; }).key_by(&Order::user))
            .window(Tumbling{10ms})
            .apply("pairs",
                   [](const Order& small, const Order& large) {
                     return small.user + std::to_string(small.price) + "-" +
                            std::to_string(large.price);
                   })
            .map([](const auto& row) { return row.value; }),
        "rows", [](const std::string& text) { return text; });
    PipelineHarness harness(graph_->graph(), {.parallelism = parallelism, .seed = 5});
    orders_->batch(0, {{"a", 1, 7}, {"b", 2, 8}, {"a", 3, 100}});
    harness.run_until_quiet();
    harness.restart();
    orders_->batch(0, {{"a", 4, 9}, {"b", 5, 200}});
    harness.run_until_quiet();
    harness.restart(parallelism == 1 ? 2 : 1);
    orders_->batch(0, {{"b", 9, 300}, {"a", 12, 1}, {"a", 13, 400}});
    harness.run_until_quiet();
    EXPECT_EQ(rows("rows").size(), 4U);  // the first window, once the watermark has passed it
    harness.restart();
    orders_->end({0});
    harness.run_until_quiet();
    EXPECT_TRUE(harness.has_ended());
    auto& all = seen.emplace_back(rows("rows"));
    std::ranges::sort(all);
  }
  EXPECT_THAT(seen[0], ElementsAre("a1-400@19"));
  EXPECT_EQ(seen[0], seen[1]);
}

}  // namespace
}  // namespace tidemill
