// The transactional producer and the questions to the cluster, on a real broker.
#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

#include "connectors/formats/murmur2.h"
#include "tests/connectors/kafka/e2e_test.h"

namespace tidemill::kafka {
namespace {

using testing::HasSubstr;

class ProducerTest : public KafkaTest {
 protected:
  OutputRecord record(std::size_t topic, std::string_view key, std::string_view value) {
    return {.topic = topic, .key = key, .has_key = true, .value = value, .timestamp_ms = 1234567};
  }
  std::int64_t end(const std::string& topic, LogPoint point = LogPoint::kLastStable) {
    return admin().offsets({{topic, 0}}, point).at({topic, 0});
  }
};

TEST_F(ProducerTest, CommitsRecordsWithKeyTimeAndPlace) {
  const std::string topic = make_topic("out", 4);
  TransactionalProducer producer(producer_settings(name_), metrics_);
  producer.init();
  const std::size_t index = producer.add_topic(topic);
  EXPECT_EQ(producer.add_topic(topic), index);
  EXPECT_EQ(producer.num_partitions(index), 4);
  producer.begin();
  const RecordHeaders headers{{"h", "v"}};
  OutputRecord r = record(index, "user-1", "hello");
  r.headers = &headers;
  ASSERT_EQ(producer.produce(r).status, ProduceStatus::kAccepted);
  producer.flush_soon();
  producer.commit();
  EXPECT_FALSE(producer.is_dirty());
  const TopicPartition place(topic, partition_of("user-1", 4));
  EXPECT_EQ(await_end(place, 2), 2);

  const FoundRecord found = admin().records_at({{place, 0}}).at(place);
  EXPECT_EQ(found.key, "user-1");
  EXPECT_EQ(found.value, "hello");
  EXPECT_EQ(found.timestamp_ms, 1234567);
}

TEST_F(ProducerTest, ManySmallTransactionsInARow) {
  const std::string topic = make_topic("out", 1);
  TransactionalProducer producer(producer_settings(name_), metrics_);
  producer.init();
  const std::size_t index = producer.add_topic(topic);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) {
    producer.begin();
    ASSERT_EQ(producer.produce(record(index, "k", std::to_string(i))).status,
              ProduceStatus::kAccepted);
    producer.commit();
  }
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took, 10s);
  RecordProperty("ms_per_transaction", static_cast<int>(took / 20ms));
  EXPECT_EQ(await_end({topic, 0}, 40), 40);  // a marker follows each record
  EXPECT_EQ(admin().last_record({topic, 0}, "k")->value, "19");
  EXPECT_FALSE(admin().last_record({topic, 0}, "other"));
}

TEST_F(ProducerTest, AnOpenTransactionIsInvisibleAndAbortedByTheNextOwner) {
  const std::string topic = make_topic("out", 1);
  TransactionalProducer first(producer_settings(name_), metrics_);
  first.init();
  const std::size_t index = first.add_topic(topic);
  first.begin();
  ASSERT_EQ(first.produce(record(index, "k", "lost")).status, ProduceStatus::kAccepted);
  first.flush_soon();
  while (first.in_flight() > 0) std::this_thread::yield();
  EXPECT_EQ(end(topic, LogPoint::kHighWatermark), 1);
  EXPECT_EQ(end(topic), 0);

  TransactionalProducer second(producer_settings(name_), metrics_);
  second.init();
  EXPECT_EQ(end(topic), 2);  // the record and its abort marker
  EXPECT_TRUE(admin().records_at({{{topic, 0}, 0}}).empty());
  EXPECT_EQ(error_of([&] { first.commit(); }), ErrorCode::kFenced);
  EXPECT_THAT(message_, HasSubstr("fenced"));

  second.begin();
  second.add_topic(topic);
  ASSERT_EQ(second.produce(record(0, "k", "kept")).status, ProduceStatus::kAccepted);
  second.commit();
  EXPECT_EQ(await_end({topic, 0}, 4), 4);
  EXPECT_EQ(admin().last_record({topic, 0}, "k")->value, "kept");
}

TEST_F(ProducerTest, ATimedOutTransactionIsFenced) {
  const std::string topic = make_topic("out", 1);
  ProducerSettings settings = producer_settings(name_);
  settings.transaction_timeout = 1s;
  TransactionalProducer producer(settings, metrics_);
  producer.init();
  const std::size_t index = producer.add_topic(topic);
  producer.begin();
  ASSERT_EQ(producer.produce(record(index, "k", "v")).status, ProduceStatus::kAccepted);
  producer.flush_soon();
  // The broker's abort marker shows that it has given up.
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (end(topic) < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  ASSERT_EQ(end(topic), 2);
  EXPECT_EQ(error_of([&] { producer.commit(); }), ErrorCode::kFenced);
}

TEST_F(ProducerTest, RefusedRecordsAreTypedErrorsWithTheirPlace) {
  const std::string topic = make_topic("out", 2);
  ProducerSettings settings = producer_settings(name_);
  settings.client.properties["message.max.bytes"] = "1000";
  settings.client.properties["batch.size"] = "900";
  TransactionalProducer producer(settings, metrics_);
  producer.init();
  const std::size_t index = producer.add_topic(topic);
  producer.begin();
  const std::string large(2000, 'x');
  const OutputRecord too_large = record(index, "user-7", large);
  ProduceResult result = producer.produce(too_large);
  ASSERT_EQ(result.status, ProduceStatus::kRefused);
  Error error = producer.refusal(too_large, result);
  EXPECT_EQ(error.code(), ErrorCode::kBadData);
  EXPECT_THAT(error.what(), HasSubstr(topic + ":" + std::to_string(partition_of("user-7", 2))));
  EXPECT_THAT(error.what(), HasSubstr("2006 bytes"));
  EXPECT_THAT(error.what(), HasSubstr("user-7"));

  OutputRecord nowhere = record(index, "k", "v");
  nowhere.partition = 9;
  result = producer.produce(nowhere);
  ASSERT_EQ(result.status, ProduceStatus::kRefused);
  error = producer.refusal(nowhere, result);
  EXPECT_EQ(error.code(), ErrorCode::kRefused);
  EXPECT_THAT(error.what(), HasSubstr(topic + ":9"));
}

TEST_F(ProducerTest, ARecordTheBrokerRefusesFailsTheCommitAndIsNamed) {
  const std::string topic = make_topic("out", 1, {{"max.message.bytes", "500"}});
  TransactionalProducer producer(producer_settings(name_), metrics_);
  producer.init();
  const std::size_t index = producer.add_topic(topic);
  producer.begin();
  std::string incompressible;
  for (unsigned i = 0, x = 1; i < 3000; ++i) {
    x = x * 1664525u + 1013904223u;
    incompressible += static_cast<char>(x >> 24);
  }
  ASSERT_EQ(producer.produce(record(index, "k", incompressible)).status, ProduceStatus::kAccepted);
  EXPECT_EQ(error_of([&] { producer.commit(); }), ErrorCode::kBadData);
  EXPECT_THAT(message_, HasSubstr(topic + ":0"));
  ASSERT_TRUE(producer.delivery_failure());
  EXPECT_EQ(producer.delivery_failure()->topic, topic);
  EXPECT_EQ(producer.delivery_failure()->bytes, 3001u);
  EXPECT_EQ(end(topic, LogPoint::kHighWatermark), 0);
}

TEST_F(ProducerTest, AFullQueueIsBackPressure) {
  const std::string topic = make_topic("out", 1);
  ProducerSettings settings = producer_settings(name_);
  settings.client.properties["queue.buffering.max.messages"] = "10";
  settings.client.properties["linger.ms"] = "5000";
  TransactionalProducer producer(settings, metrics_);
  producer.init();
  const std::size_t index = producer.add_topic(topic);
  producer.begin();
  int accepted = 0;
  while (producer.produce(record(index, "k", "v")).status == ProduceStatus::kAccepted) ++accepted;
  EXPECT_EQ(accepted, 10);
  EXPECT_EQ(producer.produce(record(index, "k", "v")).status, ProduceStatus::kQueueFull);
  producer.flush_soon();
  while (producer.in_flight() > 0) std::this_thread::yield();
  EXPECT_EQ(producer.produce(record(index, "k", "v")).status, ProduceStatus::kAccepted);
  producer.commit();
  EXPECT_EQ(await_end({topic, 0}, 12), 12);
}

TEST_F(ProducerTest, AtLeastOnceNeedsNoTransaction) {
  const std::string topic = make_topic("out", 1);
  ProducerSettings settings = producer_settings(name_);
  settings.transactional_id.clear();
  TransactionalProducer producer(settings, metrics_);
  producer.init();
  const std::size_t index = producer.add_topic(topic);
  producer.begin();
  ASSERT_EQ(producer.produce(record(index, "k", "v")).status, ProduceStatus::kAccepted);
  producer.commit();
  EXPECT_EQ(end(topic), 1);
}

TEST_F(ProducerTest, MissingTopicsAndBadTimeoutsAreRefusedAtStart) {
  TransactionalProducer producer(producer_settings(name_), metrics_);
  producer.init();
  EXPECT_EQ(error_of([&] { producer.add_topic(name_ + "-nowhere"); }), ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr(name_ + "-nowhere"));
  ProducerSettings settings = producer_settings(name_ + "-b");
  settings.transaction_timeout = 1h;  // transaction.max.timeout.ms is 15 min
  TransactionalProducer patient(settings, metrics_);
  EXPECT_EQ(error_of([&] { patient.init(); }), ErrorCode::kConfig);
}

TEST_F(ProducerTest, NoBrokerIsAnErrorInTime) {
  ProducerSettings settings = producer_settings(name_);
  settings.client.brokers = "127.0.0.1:1";
  settings.call_deadline = 1s;
  TransactionalProducer producer(settings, metrics_);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(error_of([&] { producer.init(); }), ErrorCode::kIo);
  EXPECT_THAT(message_, HasSubstr("127.0.0.1:1"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

class AdminTest : public KafkaTest {};

TEST_F(AdminTest, KnowsTopicsBrokersAndTheirSettings) {
  const std::string topic = make_topic("t", 3, {{"cleanup.policy", "compact"}});
  EXPECT_EQ(admin().topic(topic)->num_partitions, 3);
  EXPECT_FALSE(admin().topic(name_ + "-nowhere"));
  EXPECT_FALSE(admin().create_topic({.name = topic}));
  EXPECT_GE(admin().num_brokers(), 1u);
  EXPECT_EQ(admin().topic_config(topic).at("cleanup.policy"), "compact");
  EXPECT_EQ(admin().broker_config().at("transaction.max.timeout.ms"), "900000");
  bool is_listed = false;
  for (const TopicInfo& t : admin().topics()) is_listed |= t.name == topic;
  EXPECT_TRUE(is_listed);
}

TEST_F(AdminTest, FindsOffsetsByPointAndTime) {
  const std::string topic = make_topic("t", 2);
  write(topic, 1, {"a", "b", "c"});
  ASSERT_EQ(await_end({topic, 1}, 4), 4);
  const std::vector<TopicPartition> both{{topic, 0}, {topic, 1}};
  const auto start = admin().offsets(both, LogPoint::kStart);
  EXPECT_EQ(start.at({topic, 0}), 0);
  EXPECT_EQ(start.at({topic, 1}), 0);
  const auto end = admin().offsets(both, LogPoint::kLastStable);
  EXPECT_EQ(end.at({topic, 0}), 0);
  EXPECT_EQ(end.at({topic, 1}), 4);  // with the marker
  EXPECT_EQ(admin().offsets_at(both, EventTime{1}).at({topic, 1}), 0);
  EXPECT_EQ(admin().offsets_at(both, EventTime{4102444800000}).at({topic, 1}), 4);
  write(topic, 0, {"d"});
  ASSERT_EQ(await_end({topic, 0}, 2), 2);
  const auto records = admin().records_at({{{topic, 0}, 0}, {{topic, 1}, 2}});
  EXPECT_EQ(records.at({topic, 0}).value, "d");
  EXPECT_EQ(records.at({topic, 1}).value, "c");
  EXPECT_TRUE(admin().records_at({{{topic, 0}, 99}, {{topic, 1}, 3}}).empty());  // 3: the marker
  EXPECT_TRUE(admin().records_at({}).empty());
}

TEST_F(AdminTest, WritesAndReadsTheOffsetsOfAGroup) {
  const std::string topic = make_topic("t", 2);
  const std::vector<TopicPartition> both{{topic, 0}, {topic, 1}};
  EXPECT_TRUE(admin().group_offsets(name_, both).empty());
  EXPECT_EQ(admin().group_state(name_), "Dead");
  admin().set_group_offsets(name_, {{{topic, 0}, {5, "lineage 7"}}, {{topic, 1}, {6, ""}}});
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  std::map<TopicPartition, GroupOffset> found;
  while (found.size() < 2 && std::chrono::steady_clock::now() < deadline) {
    found = admin().group_offsets(name_, both);
  }
  EXPECT_EQ(found.at({topic, 0}).offset, 5);
  EXPECT_EQ(found.at({topic, 0}).metadata, "lineage 7");
  EXPECT_EQ(found.at({topic, 1}).metadata, "");
  EXPECT_EQ(admin().group_state(name_), "Empty");
}

TEST_F(AdminTest, DoesNotWaitForeverForABroker) {
  Admin lonely({.brokers = "127.0.0.1:1"}, name_, 1s);
  EXPECT_EQ(error_of([&] { static_cast<void>(lonely.topics()); }), ErrorCode::kIo);
  EXPECT_THAT(message_, HasSubstr("127.0.0.1:1"));
}

}  // namespace
}  // namespace tidemill::kafka
