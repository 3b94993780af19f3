#include "tests/connectors/kafka/cluster_changes.h"

#include <array>
#include <chrono>
#include <functional>
#include <stdexcept>

#include "connectors/kafka/admin.h"
#include "connectors/kafka/librdkafka_internal.h"

namespace tidemill::kafka {
namespace {

constexpr int kTimeoutMs = 20'000;

// Makes a request of librdkafka's admin interface and hands its result to `check`.
void request(const ClientSettings& client,
             const std::function<void(rd_kafka_t*, rd_kafka_queue_t*)>& start,
             const std::function<rd_kafka_resp_err_t(rd_kafka_event_t*)>& check) {
  ClientEvents events;
  const HandlePtr handle =
      make_handle(RD_KAFKA_PRODUCER, make_conf({{"bootstrap.servers", client.brokers}}, events));
  const QueuePtr queue(rd_kafka_queue_new(handle.get()));
  start(handle.get(), queue.get());
  const EventPtr event(rd_kafka_queue_poll(queue.get(), kTimeoutMs));
  if (!event) throw std::runtime_error("no answer from Kafka");
  const rd_kafka_resp_err_t error =
      rd_kafka_event_error(event.get()) ? rd_kafka_event_error(event.get()) : check(event.get());
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(describe(error));
}

rd_kafka_resp_err_t first_error(const rd_kafka_topic_result_t** results, std::size_t count) {
  return count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
}

}  // namespace

void delete_topic(const ClientSettings& client, const std::string& topic) {
  request(
      client,
      [&](rd_kafka_t* handle, rd_kafka_queue_t* queue) {
        rd_kafka_DeleteTopic_t* wanted = rd_kafka_DeleteTopic_new(topic.c_str());
        rd_kafka_DeleteTopics(handle, &wanted, 1, nullptr, queue);
        rd_kafka_DeleteTopic_destroy(wanted);
      },
      [](rd_kafka_event_t* event) {
        std::size_t count = 0;
        const auto** results =
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
        return first_error(results, count);
      });
  Admin admin(client, "tests.delete");
  while (admin.topic(topic)) {
  }
}

void delete_records_before(const ClientSettings& client, const TopicPartition& partition,
                           std::int64_t offset) {
  request(
      client,
      [&](rd_kafka_t* handle, rd_kafka_queue_t* queue) {
        const PartitionsPtr list(rd_kafka_topic_partition_list_new(1));
        rd_kafka_topic_partition_list_add(list.get(), partition.first.c_str(), partition.second)
            ->offset = offset;
        rd_kafka_DeleteRecords_t* wanted = rd_kafka_DeleteRecords_new(list.get());
        rd_kafka_DeleteRecords(handle, &wanted, 1, nullptr, queue);
        rd_kafka_DeleteRecords_destroy(wanted);
      },
      [](rd_kafka_event_t* event) {
        return rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event))
            ->elems[0]
            .err;
      });
}

void add_partitions(const ClientSettings& client, const std::string& topic, std::int32_t total) {
  request(
      client,
      [&](rd_kafka_t* handle, rd_kafka_queue_t* queue) {
        std::array<char, 256> text{};
        rd_kafka_NewPartitions_t* wanted = rd_kafka_NewPartitions_new(
            topic.c_str(), static_cast<std::size_t>(total), text.data(), text.size());
        rd_kafka_CreatePartitions(handle, &wanted, 1, nullptr, queue);
        rd_kafka_NewPartitions_destroy(wanted);
      },
      [](rd_kafka_event_t* event) {
        std::size_t count = 0;
        const auto** results = rd_kafka_CreatePartitions_result_topics(
            rd_kafka_event_CreatePartitions_result(event), &count);
        return first_error(results, count);
      });
}

}  // namespace tidemill::kafka
