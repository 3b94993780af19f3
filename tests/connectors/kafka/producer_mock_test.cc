// How the producer takes what brokers and librdkafka do to it, on librdkafka's mock brokers: only
// the client's side of errors; they keep no transactions.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <mutex>
#include <string>
#include <thread>

#include "connectors/kafka/producer_calls_internal.h"
#include "connectors/kafka/transactional_producer.h"

namespace tidemill::kafka {
namespace {

using testing::HasSubstr;

// Kafka's protocol numbers.
constexpr std::int16_t kProduce = 0;
constexpr std::int16_t kInitProducerId = 22;
constexpr std::int16_t kAddPartitionsToTxn = 24;
constexpr std::int16_t kEndTxn = 26;

class MockTest : public testing::Test {
 protected:
  MockTest() {
    handle_ = make_handle(RD_KAFKA_PRODUCER, make_conf({}, events_));
    cluster_ = rd_kafka_mock_cluster_new(handle_.get(), 1);
    rd_kafka_mock_topic_create(cluster_, "out", 2, 1);
    settings_.client.brokers = rd_kafka_mock_cluster_bootstraps(cluster_);
    settings_.client_id = settings_.transactional_id = "job.0";
    settings_.call_deadline = 5s;
  }
  ~MockTest() override { rd_kafka_mock_cluster_destroy(cluster_); }

  template <class... Errors>
  void inject(std::int16_t api, Errors... errors) {
    rd_kafka_mock_push_request_errors(cluster_, api, sizeof...(errors), errors...);
  }

  void open_transaction(TransactionalProducer& producer) {
    producer.init();
    topic_ = producer.add_topic("out");
    producer.begin();
    ASSERT_FALSE(producer.is_dirty());
    ASSERT_EQ(produce(producer).status, ProduceStatus::kAccepted);
  }
  ProduceResult produce(TransactionalProducer& producer) {
    return producer.produce({.topic = topic_, .key = "k", .has_key = true, .value = "v"});
  }

  template <class Call>
  ErrorCode error_of(Call call) {
    try {
      call();
    } catch (const Error& e) {
      message_ = e.what();
      return e.code();
    }
    ADD_FAILURE() << "nothing was thrown";
    return ErrorCode::kInternal;
  }

  ClientEvents events_;
  HandlePtr handle_;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
  ProducerSettings settings_;
  MetricRegistry metrics_;
  std::size_t topic_ = 0;
  std::string message_;
};

TEST_F(MockTest, AQuietTransactionLeavesTheProducerClean) {
  TransactionalProducer producer(settings_, metrics_);
  open_transaction(producer);
  producer.commit();
  EXPECT_FALSE(producer.is_dirty());
  EXPECT_EQ(producer.in_flight(), 0u);
}

// Rule R: a request that was on the broken connection may arrive later.
TEST_F(MockTest, ABrokenConnectionMakesItDirty) {
  for (const std::int16_t api : {kEndTxn, kProduce, kAddPartitionsToTxn}) {
    TransactionalProducer producer(settings_, metrics_);
    producer.init();
    topic_ = producer.add_topic("out");
    inject(api, RD_KAFKA_RESP_ERR__TRANSPORT);
    producer.begin();
    ASSERT_EQ(produce(producer).status, ProduceStatus::kAccepted);
    producer.commit();
    EXPECT_TRUE(producer.is_dirty()) << api;
  }
}

TEST_F(MockTest, WhatMayPassIsRepeated) {
  TransactionalProducer producer(settings_, metrics_);
  inject(kInitProducerId, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS);
  open_transaction(producer);
  inject(kEndTxn, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_COORDINATOR);
  producer.commit();
}

TEST_F(MockTest, AFencedProducerSaysSo) {
  for (const auto error :
       {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        RD_KAFKA_RESP_ERR_INVALID_TXN_STATE}) {
    TransactionalProducer producer(settings_, metrics_);
    open_transaction(producer);
    inject(kEndTxn, error);
    EXPECT_EQ(error_of([&] { producer.commit(); }), ErrorCode::kFenced) << describe(error);
    EXPECT_THAT(message_, HasSubstr("fenced"));
    const ProduceResult result = produce(producer);
    ASSERT_EQ(result.status, ProduceStatus::kRefused);
    EXPECT_EQ(producer.refusal({.topic = topic_}, result).code(), ErrorCode::kFenced);
  }
}

// A record is refused because the transaction has failed before: the reason is that of the failure.
TEST_F(MockTest, ARefusalAfterAFailureGivesTheFailuresReason) {
  TransactionalProducer producer(settings_, metrics_);
  inject(kAddPartitionsToTxn, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  open_transaction(producer);
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  ProduceResult result;
  while (result.status != ProduceStatus::kRefused && std::chrono::steady_clock::now() < deadline) {
    result = produce(producer);
  }
  ASSERT_EQ(result.status, ProduceStatus::kRefused);
  const Error error = producer.refusal({.topic = topic_}, result);
  EXPECT_EQ(error.code(), ErrorCode::kStop);
  EXPECT_THAT(error.what(), HasSubstr("authorization"));
  EXPECT_THAT(error.what(), HasSubstr("\"out\""));
}

TEST_F(MockTest, ADeniedIdIsAConfigurationError) {
  TransactionalProducer producer(settings_, metrics_);
  inject(kInitProducerId, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
  EXPECT_EQ(error_of([&] { producer.init(); }), ErrorCode::kStop);
  EXPECT_THAT(message_, HasSubstr("job.0"));
}

TEST_F(MockTest, ACommitThatNobodyAnswersEndsInTime) {
  settings_.call_deadline = 1s;
  settings_.client.properties["socket.timeout.ms"] = "300";
  TransactionalProducer producer(settings_, metrics_);
  open_transaction(producer);
  rd_kafka_mock_broker_set_down(cluster_, 1);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(error_of([&] { producer.commit(); }), ErrorCode::kIo);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 8s);
  EXPECT_TRUE(producer.is_dirty());
  EXPECT_FALSE(producer.is_abandoned());
}

// The watchdog: librdkafka can block for ever, and destroying such a handle would as well.
TEST_F(MockTest, ACallThatDoesNotReturnIsLeftBehind) {
  settings_.call_grace = 50ms;
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool is_open = false;
  };
  const auto gate = std::make_shared<Gate>();
  auto calls = std::make_shared<TransactionalProducer::Calls>(settings_, metrics_);
  calls->start(calls);
  const std::weak_ptr<TransactionalProducer::Calls> left_behind = calls;
  EXPECT_EQ(error_of([&] {
              calls->run("stuck", 50ms, [gate]() -> std::optional<Error> {
                std::unique_lock lock(gate->mutex);
                gate->changed.wait(lock, [&] { return gate->is_open; });
                return std::nullopt;
              });
            }),
            ErrorCode::kIo);
  EXPECT_THAT(message_, HasSubstr("abandoned"));
  EXPECT_TRUE(calls->is_abandoned);
  EXPECT_EQ(metrics_.counter("tidemill_kafka_producer_abandoned_total").value(), 1u);
  EXPECT_EQ(error_of([&] { calls->run("again", 1s, [] { return std::nullopt; }); }),
            ErrorCode::kIo);
  calls->stop();  // returns at once
  calls.reset();
  EXPECT_FALSE(left_behind.expired()) << "the stuck call still uses it";
  {
    const std::lock_guard lock(gate->mutex);
    gate->is_open = true;
    gate->changed.notify_all();
  }
  // Should it come back after all, it takes the handle with it.
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!left_behind.expired() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(left_behind.expired());
}

}  // namespace
}  // namespace tidemill::kafka
