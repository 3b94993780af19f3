#include "connectors/kafka/transactional_producer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "connectors/formats/murmur2.h"
#include "connectors/kafka/producer_calls_internal.h"

namespace tidemill::kafka {
namespace {

constexpr Duration kAbort = 3s;
// A topic that has just been created may not be known to every broker yet.
constexpr Duration kTopicIsKnown = 3s;
constexpr Duration kTopicAsked = 10s;
// Records without a key stay in one partition for so many, to fill its batches.
constexpr std::uint32_t kSticky = 256;

Duration call_deadline_of(const ProducerSettings& settings) {
  if (settings.call_deadline > 0s) return settings.call_deadline;
  return std::max<Duration>(transaction_timeout_of(settings), 60s);
}

// A commit that is under way is answered after two requests have timed out, or it will not be: a
// new producer learns sooner what became of it.
Duration answer_deadline_of(const ProducerSettings& settings) {
  if (settings.call_deadline > 0s) return settings.call_deadline;
  return std::max<Duration>(2 * socket_timeout_of(settings), 5s);
}

}  // namespace

TransactionalProducer::TransactionalProducer(const ProducerSettings& settings,
                                             MetricRegistry& metrics)
    : settings_(settings),
      slow_(socket_timeout_of(settings) / 2),
      calls_(std::make_shared<Calls>(settings, metrics)) {
  calls_->start(calls_);
}

TransactionalProducer::~TransactionalProducer() { calls_->stop(); }

// Work that may outlive this object captures the calls, never `this`.

void TransactionalProducer::init() {
  if (settings_.transactional_id.empty()) return;
  const Duration limit = call_deadline_of(settings_);
  calls_->run("init_transactions", limit, [calls = calls_.get(), limit] {
    return calls->repeat("init_transactions", limit, [calls](int ms) {
      return rd_kafka_init_transactions(calls->handle(), ms);
    });
  });
  // The coordinator's connection comes and goes within every init.
  calls_->is_dirty = false;
}

void TransactionalProducer::begin() {
  if (settings_.transactional_id.empty()) return;
  calls_->run("begin_transaction", 5s, [calls = calls_.get()] {
    return calls->repeat("begin_transaction", 5s,
                         [calls](int) { return rd_kafka_begin_transaction(calls->handle()); });
  });
}

void TransactionalProducer::flush() {
  const Duration limit = call_deadline_of(settings_);
  calls_->run("flush", limit, [calls = calls_.get(), limit] { return calls->flush(limit); });
}

void TransactionalProducer::commit() {
  if (settings_.transactional_id.empty()) return flush();
  // What is not acknowledged within the transaction's life can never be committed.
  const Duration life =
      settings_.call_deadline > 0s ? settings_.call_deadline : transaction_timeout_of(settings_);
  calls_->run("flush", life, [calls = calls_.get(), life] { return calls->flush(life); });
  const Duration limit = answer_deadline_of(settings_);
  const auto start = std::chrono::steady_clock::now();
  try {
    calls_->run("commit_transaction", limit, [calls = calls_.get(), limit] {
      return calls->repeat("commit_transaction", limit, [calls](int ms) {
        return rd_kafka_commit_transaction(calls->handle(), ms);
      });
    });
  } catch (const Error&) {
    is_unanswered_ = std::chrono::steady_clock::now() - start >= limit;
    throw;
  }
  // So slow that a request may have been given up and repeated meanwhile.
  if (std::chrono::steady_clock::now() - start > slow_) calls_->is_dirty = true;
}

void TransactionalProducer::abort() {
  if (settings_.transactional_id.empty()) return;
  calls_->run("abort_transaction", kAbort, [calls = calls_.get()] {
    return calls->repeat("abort_transaction", kAbort, [calls](int ms) {
      return rd_kafka_abort_transaction(calls->handle(), ms);
    });
  });
}

std::size_t TransactionalProducer::add_topic(const std::string& name) {
  for (std::size_t i = 0; i < calls_->topics.size(); ++i) {
    if (calls_->topics[i].name == name) return i;
  }
  TopicPtr handle(rd_kafka_topic_new(calls_->handle(), name.c_str(), nullptr));
  if (!handle) {
    throw Error(ErrorCode::kConfig, "a Kafka topic's name is refused: " + name + ": " +
                                        describe(rd_kafka_last_error()));
  }
  const Deadline appears(kTopicIsKnown);
  const Deadline asked(kTopicAsked);
  while (true) {
    const rd_kafka_metadata_t* metadata = nullptr;
    rd_kafka_resp_err_t error =
        rd_kafka_metadata(calls_->handle(), 0, handle.get(), &metadata, asked.left_ms(2s));
    std::int32_t num_partitions = 0;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      error = metadata->topics[0].err;
      num_partitions = metadata->topics[0].partition_cnt;
      rd_kafka_metadata_destroy(metadata);
    }
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR && num_partitions > 0) {
      calls_->topics.push_back({name, std::move(handle), num_partitions});
      return calls_->topics.size() - 1;
    }
    const bool is_missing = error_code_of(error) == ErrorCode::kRefused;
    if (error_code_of(error) == ErrorCode::kConfig || (is_missing ? appears : asked).is_over()) {
      throw Error(error_code_of(error),
                  is_missing ? "an output topic does not exist: create it, or set `create: "
                               "{partitions: N}`: " +
                                   name
                             : "an output topic cannot be looked up: " + name + ": " +
                                   describe(error) + calls_->last_error_text());
    }
    rd_kafka_poll(calls_->handle(), 50);
  }
}

std::int32_t TransactionalProducer::num_partitions(std::size_t topic) const {
  return calls_->topics[topic].num_partitions;
}

ProduceResult TransactionalProducer::produce(const OutputRecord& record) {
  const Calls::Topic& topic = calls_->topics[record.topic];
  std::int32_t partition = record.partition;
  if (partition == kByKey) {
    partition = record.has_key
                    ? partition_of(record.key, topic.num_partitions)
                    : static_cast<std::int32_t>(
                          calls_->next_partition.fetch_add(1, std::memory_order_relaxed) / kSticky %
                          static_cast<std::uint32_t>(topic.num_partitions));
  }
  // A null key or value is a null pointer; an empty one is not.
  const char* key = record.has_key ? (record.key.data() ? record.key.data() : "") : nullptr;
  const char* value = record.has_value ? (record.value.data() ? record.value.data() : "") : nullptr;
  rd_kafka_headers_t* headers = nullptr;
  if (record.headers != nullptr && !record.headers->empty()) {
    headers = rd_kafka_headers_new(record.headers->size());
    for (const auto& [name, text] : *record.headers) {
      rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), text.data(),
                          static_cast<ssize_t>(text.size()));
    }
  }
  const rd_kafka_resp_err_t error =
      headers == nullptr
          ? rd_kafka_producev(calls_->handle(), RD_KAFKA_V_RKT(topic.handle.get()),
                              RD_KAFKA_V_PARTITION(partition),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_KEY(key, record.key.size()),
                              RD_KAFKA_V_VALUE(const_cast<char*>(value), record.value.size()),
                              RD_KAFKA_V_TIMESTAMP(record.timestamp_ms), RD_KAFKA_V_END)
          : rd_kafka_producev(calls_->handle(), RD_KAFKA_V_RKT(topic.handle.get()),
                              RD_KAFKA_V_PARTITION(partition),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_KEY(key, record.key.size()),
                              RD_KAFKA_V_VALUE(const_cast<char*>(value), record.value.size()),
                              RD_KAFKA_V_TIMESTAMP(record.timestamp_ms),
                              RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  if (headers != nullptr) rd_kafka_headers_destroy(headers);  // ours again
  if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) return {ProduceStatus::kQueueFull, error};
  return {ProduceStatus::kRefused, error};
}

// An asynchronous failure has ended the transaction; librdkafka tells why to whoever tries to
// commit.
Error TransactionalProducer::failure() const {
  try {
    calls_->run("commit_transaction", 1s, [calls = calls_.get()]() -> std::optional<Error> {
      const ErrorPtr error(rd_kafka_commit_transaction(calls->handle(), 1000));
      if (!error) return std::nullopt;
      return calls->error_of("produce", rd_kafka_error_code(error.get()),
                             rd_kafka_error_string(error.get()));
    });
  } catch (const Error& e) {
    return e;
  }
  return {ErrorCode::kInternal,
          "a Kafka transaction refuses a record although it can be committed"};
}

Error TransactionalProducer::refusal(const OutputRecord& record, ProduceResult result) const {
  const auto error = static_cast<rd_kafka_resp_err_t>(result.error);
  if (error == RD_KAFKA_RESP_ERR__STATE && !settings_.transactional_id.empty()) return failure();
  if (error == RD_KAFKA_RESP_ERR__FATAL || error == RD_KAFKA_RESP_ERR__STATE) {
    return calls_->error_of("produce", error, "the producer takes no more records");
  }
  const Calls::Topic& topic = calls_->topics[record.topic];
  const std::int32_t partition = record.partition != kByKey || !record.has_key
                                     ? record.partition
                                     : partition_of(record.key, topic.num_partitions);
  constexpr std::size_t kShownKey = 64;
  return {error_code_of(error), "a record cannot be written to Kafka: " +
                                    to_string(TopicPartition(topic.name, partition)) + ", key \"" +
                                    std::string(record.key.substr(0, kShownKey)) + "\", " +
                                    std::to_string(record.key.size() + record.value.size()) +
                                    " bytes of key and value: " + describe(error)};
}

void TransactionalProducer::flush_soon() { calls_->flush_soon(); }

bool TransactionalProducer::is_dirty() const { return calls_->is_dirty; }
bool TransactionalProducer::is_abandoned() const { return calls_->is_abandoned; }
std::optional<DeliveryFailure> TransactionalProducer::delivery_failure() const {
  return calls_->delivery_failure();
}
std::size_t TransactionalProducer::in_flight() const {
  return static_cast<std::size_t>(std::max(0, rd_kafka_outq_len(calls_->handle())));
}

}  // namespace tidemill::kafka
