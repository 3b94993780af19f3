// What librdkafka says, in our words; and that it accepts every property we set.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/kafka/librdkafka_internal.h"

namespace tidemill::kafka {
namespace {

using testing::HasSubstr;

ClientSettings client() { return {.brokers = "127.0.0.1:1"}; }

TEST(MakeConf, AcceptsOurDefaultsForEveryKindOfClient) {
  ClientEvents events;
  ProducerSettings producer{.client = client(), .client_id = "j.0", .transactional_id = "j.0"};
  EXPECT_NO_THROW(make_handle(RD_KAFKA_PRODUCER, make_conf(producer_properties(producer), events)));
  producer.transaction_timeout = 1s;
  EXPECT_NO_THROW(make_handle(RD_KAFKA_PRODUCER, make_conf(producer_properties(producer), events)));
  SourceSettings source{.client = client(), .job = "j"};
  EXPECT_NO_THROW(
      make_handle(RD_KAFKA_CONSUMER, make_conf(consumer_properties(source, 3), events)));
  EXPECT_NO_THROW(make_handle(RD_KAFKA_CONSUMER,
                              make_conf(lookup_properties(client(), "j.admin", false), events)));
}

TEST(MakeConf, RefusesUnknownNamesAndBadValuesNamingThem) {
  ClientEvents events;
  const auto message = [&](const Properties& properties) -> std::string {
    try {
      make_conf(properties, events);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kConfig);
      return e.what();
    }
    return "accepted";
  };
  EXPECT_THAT(message({{"no.such.property", "1"}}), HasSubstr("no.such.property"));
  EXPECT_THAT(message({{"linger.ms", "soon"}}), HasSubstr("linger.ms"));
  EXPECT_EQ(message({{"fetch.queue.backoff.ms", "10"}}), "accepted");  // optional: since 2.2.0
}

TEST(ErrorCodes, SayWhoCanAct) {
  struct Case {
    rd_kafka_resp_err_t error;
    ErrorCode code;
  };
  for (const Case& c : {
           Case{RD_KAFKA_RESP_ERR__FENCED, ErrorCode::kFenced},
           Case{RD_KAFKA_RESP_ERR_PRODUCER_FENCED, ErrorCode::kFenced},
           Case{RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, ErrorCode::kFenced},
           Case{RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, ErrorCode::kFenced},
           Case{RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ErrorCode::kStop},
           Case{RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, ErrorCode::kConfig},
           Case{RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ErrorCode::kBadData},
           Case{RD_KAFKA_RESP_ERR_INVALID_RECORD, ErrorCode::kBadData},
           Case{RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ErrorCode::kRefused},
           Case{RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, ErrorCode::kRefused},
           Case{RD_KAFKA_RESP_ERR__TIMED_OUT, ErrorCode::kIo},
           Case{RD_KAFKA_RESP_ERR__TRANSPORT, ErrorCode::kIo},
           Case{RD_KAFKA_RESP_ERR__INCONSISTENT, ErrorCode::kIo},
           Case{RD_KAFKA_RESP_ERR_NOT_COORDINATOR, ErrorCode::kIo},
           Case{RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, ErrorCode::kIo},
       }) {
    EXPECT_EQ(error_code_of(c.error), c.code) << describe(c.error);
  }
}

TEST(ClientEventsTest, KeepTheReasonAndNotItsConsequence) {
  ClientEvents events;
  EXPECT_FALSE(events.is_login_refused());
  EXPECT_EQ(events.last_error_text(), "");
  events.note_error(RD_KAFKA_RESP_ERR__TRANSPORT, "connection refused");
  events.note_error(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "1/1 brokers are down");
  EXPECT_FALSE(events.is_login_refused());
  EXPECT_THAT(events.last_error_text(), HasSubstr("connection refused"));
  events.note_error(RD_KAFKA_RESP_ERR__AUTHENTICATION, "wrong password");
  EXPECT_TRUE(events.is_login_refused());
  events.note_error(RD_KAFKA_RESP_ERR__SSL, "disconnected while handshaking");
  EXPECT_FALSE(events.is_login_refused());
  events.note_error(RD_KAFKA_RESP_ERR__SSL, "error:0A000086: certificate verify failed");
  EXPECT_TRUE(events.is_login_refused());
}

}  // namespace
}  // namespace tidemill::kafka
