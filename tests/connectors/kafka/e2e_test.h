// What the tests against a real broker share: its address, topics of their own, records in and out.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "connectors/kafka/admin.h"
#include "connectors/kafka/settings.h"
#include "connectors/kafka/transactional_producer.h"
#include "engine/base/metrics.h"

namespace tidemill::kafka {

// Every test gets names of its own, so that they may share one broker and run again on it.
class KafkaTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* address = std::getenv("TIDEMILL_TEST_KAFKA");
    ASSERT_NE(address, nullptr) << "set TIDEMILL_TEST_KAFKA to the address of a Kafka broker";
    client_ = {.brokers = address};
    const auto now = std::chrono::system_clock::now().time_since_epoch().count();
    name_ = std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + "-" +
            std::to_string(now);
  }

  Admin& admin() {
    if (!admin_) admin_ = std::make_unique<Admin>(client_, name_ + ".test");
    return *admin_;
  }

  // Old event times are not deleted by age.
  std::string make_topic(const std::string& suffix, std::int32_t partitions,
                         Properties config = {}) {
    config.emplace("retention.ms", "-1");
    const std::string topic = name_ + "-" + suffix;
    admin().create_topic({.name = topic, .num_partitions = partitions, .config = config});
    return topic;
  }

  ProducerSettings producer_settings(const std::string& id) const {
    return {.client = client_, .client_id = id, .transactional_id = id};
  }

  // Commits `values` to one partition in one transaction and returns. `timestamp_ms`: 0: now.
  void write(const std::string& topic, std::int32_t partition,
             const std::vector<std::string>& values, std::int64_t timestamp_ms = 0) {
    TransactionalProducer producer(producer_settings(name_ + "-writer"), metrics_);
    producer.init();
    const std::size_t index = producer.add_topic(topic);
    producer.begin();
    for (const std::string& value : values) {
      ASSERT_EQ(producer
                    .produce({.topic = index,
                              .partition = partition,
                              .key = "k",
                              .has_key = true,
                              .value = value,
                              .timestamp_ms = timestamp_ms})
                    .status,
                ProduceStatus::kAccepted);
    }
    producer.commit();
  }

  // Where a read_committed consumer ends. A commit is decided before its markers are written, so
  // tests wait for the end they expect; what comes instead is returned after a while.
  std::int64_t await_end(const TopicPartition& partition, std::int64_t expected) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (true) {
      const std::int64_t end = admin().offsets({partition}, LogPoint::kLastStable).at(partition);
      if (end == expected || std::chrono::steady_clock::now() > deadline) return end;
    }
  }

  // The code of the Error that `call` throws; its text is left in message_.
  ErrorCode error_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& e) {
      message_ = e.what();
      return e.code();
    }
    ADD_FAILURE() << "nothing was thrown";
    return ErrorCode::kInternal;
  }

  std::uint64_t count(const std::string& metric) { return metrics_.counter(metric).value(); }

  ClientSettings client_;
  std::string name_;
  std::string message_;
  MetricRegistry metrics_;

 private:
  std::unique_ptr<Admin> admin_;
};

}  // namespace tidemill::kafka
