// The Kafka half of the loops by hand that jobs are compared with, on librdkafka alone: all of a
// topic in, exactly once, a transaction that holds the consumer's offsets. Client settings are
// those of a job.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <librdkafka/rdkafka.h>
#include <map>
#include <string>
#include <utility>

namespace tidemill::hand {

class KafkaByHand {
 public:
  using Settings = std::map<std::string, std::string>;

  // `program`: how it names itself when it fails, which ends the process. `more`: settings of the
  // consumer besides.
  KafkaByHand(std::string program, const std::string& brokers, const std::string& input,
              const std::string& output, const Settings& more = {})
      : program_(std::move(program)) {
    Settings consumer{{"bootstrap.servers", brokers},         {"group.id", "by-hand-" + output},
                      {"isolation.level", "read_committed"},  {"enable.auto.commit", "false"},
                      {"enable.partition.eof", "true"},       {"queued.min.messages", "1000000"},
                      {"fetch.message.max.bytes", "4194304"}, {"fetch.wait.max.ms", "100"}};
    consumer.insert(more.begin(), more.end());
    consumer_ = client(RD_KAFKA_CONSUMER, consumer);
    producer_ = client(RD_KAFKA_PRODUCER, {{"bootstrap.servers", brokers},
                                           {"transactional.id", "by-hand-" + output},
                                           {"compression.type", "lz4"},
                                           {"linger.ms", "5"},
                                           {"queue.buffering.max.messages", "1000000"},
                                           {"batch.num.messages", "100000"},
                                           {"batch.size", "1000000"}});
    topic_ = rd_kafka_topic_new(producer_, output.c_str(), nullptr);
    check(rd_kafka_init_transactions(producer_, 30'000), "init_transactions");
    assign(input);
  }
  KafkaByHand(const KafkaByHand&) = delete;
  KafkaByHand& operator=(const KafkaByHand&) = delete;

  [[nodiscard]] int num_partitions() const { return positions_->cnt; }
  // Where rows go.
  [[nodiscard]] rd_kafka_topic_t* topic() const { return topic_; }

  // take(partition, const rd_kafka_message_t*) for each record, null at a partition's end;
  // after_batch() behind each batch and before_commit() before each commit, until is_finished().
  template <class Take, class AfterBatch, class BeforeCommit, class IsFinished>
  void run(std::chrono::milliseconds commit_interval, Take&& take, AfterBatch&& after_batch,
           BeforeCommit&& before_commit, IsFinished&& is_finished) {
    using std::chrono::steady_clock;
    rd_kafka_queue_t* queue = rd_kafka_queue_get_consumer(consumer_);
    static rd_kafka_message_t* messages[1000];
    check(rd_kafka_begin_transaction(producer_), "begin_transaction");
    auto due = steady_clock::now() + commit_interval;
    while (!is_finished()) {
      const ssize_t n = rd_kafka_consume_batch_queue(queue, 100, messages, 1000);
      for (ssize_t i = 0; i < n; ++i) {
        const rd_kafka_message_t& message = *messages[i];
        if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
          take(message.partition, nullptr);
        } else {
          check(message.err, "consume");
          positions_->elems[message.partition].offset = message.offset + 1;
          take(message.partition, &message);
        }
        rd_kafka_message_destroy(messages[i]);
      }
      after_batch();
      rd_kafka_poll(producer_, 0);
      if (steady_clock::now() < due) continue;
      before_commit();
      commit();
      check(rd_kafka_begin_transaction(producer_), "begin_transaction");
      due = steady_clock::now() + commit_interval;
    }
    rd_kafka_queue_destroy(queue);
  }
  // After run: what is still in the transaction, and the end.
  void finish() {
    commit();
    rd_kafka_consumer_close(consumer_);
  }

  // send() is a produce call, which gives an error; again while the queue is full.
  template <class Send>
  void produce(Send&& send) {
    while (true) {
      const rd_kafka_resp_err_t error = send(producer_);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return;
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) check(error, "produce");
      rd_kafka_poll(producer_, 10);
    }
  }

 private:
  [[noreturn]] void fail(const char* what, const char* why) const {
    std::fprintf(stderr, "%s: %s: %s\n", program_.c_str(), what, why);
    std::exit(1);
  }
  void check(rd_kafka_error_t* error, const char* what) const {
    if (error != nullptr) fail(what, rd_kafka_error_string(error));
  }
  void check(rd_kafka_resp_err_t error, const char* what) const {
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail(what, rd_kafka_err2str(error));
  }
  [[nodiscard]] rd_kafka_t* client(rd_kafka_type_t type, const Settings& settings) const {
    char why[512];
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    for (const auto& [key, value] : settings) {
      if (rd_kafka_conf_set(conf, key.c_str(), value.c_str(), why, sizeof why) != RD_KAFKA_CONF_OK)
        fail("a setting is refused", why);
    }
    rd_kafka_t* made = rd_kafka_new(type, conf, why, sizeof why);
    if (made == nullptr) fail("no client", why);
    return made;
  }
  // All partitions, from their beginning.
  void assign(const std::string& input) {
    const rd_kafka_metadata_t* told = nullptr;
    rd_kafka_topic_t* topic = rd_kafka_topic_new(consumer_, input.c_str(), nullptr);
    check(rd_kafka_metadata(consumer_, 0, topic, &told, 30'000), "metadata");
    const int count = told->topics[0].partition_cnt;
    positions_ = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; ++i)
      rd_kafka_topic_partition_list_add(positions_, input.c_str(), i)->offset = 0;
    check(rd_kafka_assign(consumer_, positions_), "assign");
    rd_kafka_metadata_destroy(told);
    rd_kafka_topic_destroy(topic);
  }
  void commit() {
    rd_kafka_consumer_group_metadata_t* group = rd_kafka_consumer_group_metadata(consumer_);
    check(rd_kafka_send_offsets_to_transaction(producer_, positions_, group, 30'000),
          "send_offsets");
    rd_kafka_consumer_group_metadata_destroy(group);
    check(rd_kafka_commit_transaction(producer_, 60'000), "commit");
  }

  const std::string program_;
  rd_kafka_t* consumer_ = nullptr;
  rd_kafka_t* producer_ = nullptr;
  rd_kafka_topic_t* topic_ = nullptr;
  rd_kafka_topic_partition_list_t* positions_ = nullptr;
};

}  // namespace tidemill::hand
