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
#include <simdjson.h>
#include <string>
#include <string_view>

#include "bench/kafka/loop_by_hand.h"

namespace {

namespace ondemand = simdjson::ondemand;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "kafka_bids_by_hand: %s\n", what.c_str());
  std::exit(1);
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
      : kafka_("kafka_bids_by_hand", brokers, input, output) {}

  void run(std::string_view query, std::chrono::milliseconds interval) {
    const auto nothing = [] {};
    kafka_.run(
        interval,
        [&](std::int32_t, const rd_kafka_message_t* message) {
          if (message == nullptr) {
            ++at_end_;
          } else {
            take(*message, query);
          }
        },
        nothing, nothing, [&] { return at_end_ == kafka_.num_partitions(); });
    kafka_.finish();
    std::printf("{\"records\": %lld}\n", static_cast<long long>(records_));
  }

 private:
  void take(const rd_kafka_message_t& message, std::string_view query) {
    ++records_;
    Row row;
    if (!make_row(row, parser_.parse(message.payload, message.len), query)) return;
    kafka_.produce([&](rd_kafka_t*) {
      const int failed =
          rd_kafka_produce(kafka_.topic(), RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, row.data(),
                           row.size(), nullptr, 0, nullptr);
      return failed == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_last_error();
    });
  }

  tidemill::hand::KafkaByHand kafka_;
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
