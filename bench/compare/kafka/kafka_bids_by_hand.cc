// What kafka_bids does, written by hand on librdkafka and simdjson: one thread of its own, the
// same rows, a transaction a second that holds the consumer's offsets, nothing general.
//
//   kafka_bids_by_hand BROKERS INPUT OUTPUT q0|q1|q2 [interval in ms]
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <librdkafka/rdkafka.h>
#include <map>
#include <simdjson.h>
#include <string>
#include <string_view>

namespace {

namespace ondemand = simdjson::ondemand;
using std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "kafka_bids_by_hand: %s\n", what.c_str());
  std::exit(1);
}

void check(rd_kafka_error_t* error, const char* what) {
  if (error != nullptr) fail(std::string(what) + ": " + rd_kafka_error_string(error));
}
void check(rd_kafka_resp_err_t error, const char* what) {
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail(std::string(what) + ": " + rd_kafka_err2str(error));
}

rd_kafka_t* client(rd_kafka_type_t type, const std::map<std::string, std::string>& settings) {
  char why[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  for (const auto& [key, value] : settings) {
    if (rd_kafka_conf_set(conf, key.c_str(), value.c_str(), why, sizeof why) != RD_KAFKA_CONF_OK)
      fail(why);
  }
  rd_kafka_t* made = rd_kafka_new(type, conf, why, sizeof why);
  if (made == nullptr) fail(why);
  return made;
}

struct Bid {
  std::int64_t auction = 0, bidder = 0, price = 0, date_time = 0;
  std::string_view extra;
};

class Parser {
 public:
  Bid parse(const void* payload, std::size_t size) {
    if (room_.size() < size + simdjson::SIMDJSON_PADDING)
      room_.resize(2 * (size + simdjson::SIMDJSON_PADDING));
    std::memcpy(room_.data(), payload, size);
    Bid bid;
    ondemand::document document;
    ondemand::object object;
    if (parser_.iterate(room_.data(), size, room_.size()).get(document) ||
        document.get_object().get(object))
      fail("no JSON object");
    for (auto item : object) {
      std::string_view name;
      ondemand::field field;
      if (std::move(item).get(field) || field.unescaped_key().get(name)) fail("no field");
      ondemand::value value = field.value();
      const auto number = [&](std::int64_t& to) {
        if (value.get_int64().get(to)) fail("no number: " + std::string(name));
      };
      if (name == "auction") {
        number(bid.auction);
      } else if (name == "bidder") {
        number(bid.bidder);
      } else if (name == "price") {
        number(bid.price);
      } else if (name == "dateTime") {
        number(bid.date_time);
      } else if (name == "extra") {
        if (value.get_string().get(bid.extra)) fail("no text: extra");
      }
    }
    return bid;
  }

 private:
  ondemand::parser parser_;
  std::string room_;
};

// Letters only, so that nothing has to be escaped: Nexmark's texts have no others.
class Row {
 public:
  Row& number(std::string_view label, std::int64_t value) {
    text(label);
    end_ = std::to_chars(end_, bytes_ + sizeof bytes_, value).ptr;
    return *this;
  }
  Row& text(std::string_view text) {
    if (text.size() > static_cast<std::size_t>(bytes_ + sizeof bytes_ - end_) - 64)
      fail("a row is too long");
    std::memcpy(end_, text.data(), text.size());
    end_ += text.size();
    return *this;
  }
  [[nodiscard]] char* data() { return bytes_; }
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(end_ - bytes_); }

 private:
  char bytes_[4096];
  char* end_ = bytes_;
};

// False: the query gives no row for this bid.
bool make_row(Row& row, const Bid& bid, std::string_view query) {
  if (query == "q2") {
    if (bid.auction % 123 != 0) return false;
    row.number("{\"auction\":", bid.auction).number(",\"price\":", bid.price).text("}");
    return true;
  }
  row.number("{\"auction\":", bid.auction)
      .number(",\"bidder\":", bid.bidder)
      .number(",\"price\":", query == "q1" ? 908 * bid.price : bid.price)
      .number(",\"dateTime\":", bid.date_time)
      .text(",\"extra\":\"")
      .text(bid.extra)
      .text("\"}");
  return true;
}

class Loop {
 public:
  Loop(const std::string& brokers, const std::string& input, const std::string& output)
      : consumer_(client(RD_KAFKA_CONSUMER, {{"bootstrap.servers", brokers},
                                             {"group.id", "by-hand-" + output},
                                             {"isolation.level", "read_committed"},
                                             {"enable.auto.commit", "false"},
                                             {"enable.partition.eof", "true"},
                                             {"queued.min.messages", "1000000"},
                                             {"fetch.message.max.bytes", "4194304"},
                                             {"fetch.wait.max.ms", "100"}})),
        producer_(client(RD_KAFKA_PRODUCER, {{"bootstrap.servers", brokers},
                                             {"transactional.id", "by-hand-" + output},
                                             {"compression.type", "lz4"},
                                             {"linger.ms", "5"},
                                             {"queue.buffering.max.messages", "1000000"},
                                             {"batch.num.messages", "100000"},
                                             {"batch.size", "1000000"}})),
        topic_(rd_kafka_topic_new(producer_, output.c_str(), nullptr)) {
    check(rd_kafka_init_transactions(producer_, 30'000), "init_transactions");
    assign(input);
  }

  void run(std::string_view query, std::chrono::milliseconds interval) {
    rd_kafka_queue_t* queue = rd_kafka_queue_get_consumer(consumer_);
    static rd_kafka_message_t* messages[1000];
    check(rd_kafka_begin_transaction(producer_), "begin_transaction");
    auto due = steady_clock::now() + interval;
    while (at_end_ < positions_->cnt) {
      const ssize_t n = rd_kafka_consume_batch_queue(queue, 100, messages, 1000);
      for (ssize_t i = 0; i < n; ++i) {
        take(*messages[i], query);
        rd_kafka_message_destroy(messages[i]);
      }
      rd_kafka_poll(producer_, 0);
      if (steady_clock::now() < due) continue;
      commit();
      check(rd_kafka_begin_transaction(producer_), "begin_transaction");
      due = steady_clock::now() + interval;
    }
    commit();
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(consumer_);
    std::printf("{\"records\": %lld}\n", static_cast<long long>(records_));
  }

 private:
  void assign(const std::string& input) {
    const rd_kafka_metadata_t* told = nullptr;
    rd_kafka_topic_t* topic = rd_kafka_topic_new(consumer_, input.c_str(), nullptr);
    check(rd_kafka_metadata(consumer_, 0, topic, &told, 30'000), "metadata");
    positions_ = rd_kafka_topic_partition_list_new(told->topics[0].partition_cnt);
    for (int i = 0; i < told->topics[0].partition_cnt; ++i)
      rd_kafka_topic_partition_list_add(positions_, input.c_str(), i)->offset = 0;
    check(rd_kafka_assign(consumer_, positions_), "assign");
    rd_kafka_metadata_destroy(told);
    rd_kafka_topic_destroy(topic);
  }

  void take(const rd_kafka_message_t& message, std::string_view query) {
    if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      ++at_end_;
      return;
    }
    check(message.err, "consume");
    ++records_;
    positions_->elems[message.partition].offset = message.offset + 1;
    Row row;
    if (!make_row(row, parser_.parse(message.payload, message.len), query)) return;
    while (rd_kafka_produce(topic_, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, row.data(),
                            row.size(), nullptr, 0, nullptr) != 0) {
      if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        check(rd_kafka_last_error(), "produce");
      rd_kafka_poll(producer_, 10);
    }
  }

  void commit() {
    rd_kafka_consumer_group_metadata_t* group = rd_kafka_consumer_group_metadata(consumer_);
    check(rd_kafka_send_offsets_to_transaction(producer_, positions_, group, 30'000),
          "send_offsets");
    rd_kafka_consumer_group_metadata_destroy(group);
    check(rd_kafka_commit_transaction(producer_, 60'000), "commit");
  }

  rd_kafka_t* consumer_;
  rd_kafka_t* producer_;
  rd_kafka_topic_t* topic_;
  rd_kafka_topic_partition_list_t* positions_ = nullptr;
  Parser parser_;
  int at_end_ = 0;
  std::int64_t records_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) fail("usage: BROKERS INPUT OUTPUT q0|q1|q2 [interval in ms]");
  Loop(argv[1], argv[2], argv[3])
      .run(argv[4], std::chrono::milliseconds(argc > 5 ? std::atoi(argv[5]) : 1000));
}
