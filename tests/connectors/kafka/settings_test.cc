#include "connectors/kafka/settings.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "engine/base/error.h"

namespace tidemill::kafka {
namespace {

using testing::HasSubstr;
using Kind = PositionSpec::Kind;

// The message of the Error(kConfig) that `call` must throw.
template <class Call>
std::string config_error(Call call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kConfig) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

ProducerSettings producer() {
  ProducerSettings settings;
  settings.client.brokers = "127.0.0.1:9092";
  settings.client_id = "features.0";
  settings.transactional_id = "features.0";
  return settings;
}

TEST(PositionSpecs, ParseEachForm) {
  EXPECT_EQ(parse_start("earliest").kind, Kind::kEarliest);
  EXPECT_EQ(parse_start("latest").kind, Kind::kLatest);
  EXPECT_EQ(parse_start("committed").kind, Kind::kCommitted);
  EXPECT_EQ(parse_start("committed").fallback, Kind::kNone);
  EXPECT_EQ(parse_start("committed:earliest").fallback, Kind::kEarliest);
  EXPECT_EQ(parse_start("committed:latest").fallback, Kind::kLatest);
  const PositionSpec offsets = parse_start("user-events:0=12,user-events:1=0,b.c_d:7=9");
  EXPECT_EQ(offsets.kind, Kind::kOffsets);
  EXPECT_EQ(offsets.offsets.at({"user-events", 0}), 12);
  EXPECT_EQ(offsets.offsets.at({"user-events", 1}), 0);
  EXPECT_EQ(offsets.offsets.at({"b.c_d", 7}), 9);
  EXPECT_EQ(parse_stop("").kind, Kind::kNone);
  EXPECT_EQ(parse_stop("latest").kind, Kind::kLatest);
  EXPECT_EQ(parse_stop("t:0=5").offsets.at({"t", 0}), 5);
  EXPECT_EQ(parse_partitions("t:0,t:3"),
            (std::set<TopicPartition>{TopicPartition("t", 0), TopicPartition("t", 3)}));
}

TEST(PositionSpecs, RefuseEverythingElse) {
  for (const char* text :
       {"", "newest", "committed:never", "t", "t:0", "t:=5", ":0=5", "t:0=-1", "t:-1=5", "t:0=5x",
        "t:0=99999999999999999999", "t:0=5,", "t:0=1,t:0=2", "t:0=5;t:1=6"}) {
    config_error([&] { static_cast<void>(parse_start(text)); });
  }
  EXPECT_THAT(config_error([] { static_cast<void>(parse_start("newest")); }), HasSubstr("newest"));
  for (const char* text : {"t", "t:", ":1", "t:x", "t:1,,t:2", "t:1,"}) {
    config_error([&] { static_cast<void>(parse_partitions(text)); });
  }
}

TEST(TransactionTimeout, FollowsTheIntervalUnlessSet) {
  ProducerSettings settings = producer();
  EXPECT_EQ(transaction_timeout_of(settings), 30s);
  settings.checkpoint_interval = 60s;
  EXPECT_GE(transaction_timeout_of(settings), 3 * 60s);
  settings.transaction_timeout = 5s;
  EXPECT_EQ(transaction_timeout_of(settings), 5s);
}

TEST(ProducerProperties, HoldWhatTheProtocolNeeds) {
  Properties p = producer_properties(producer());
  EXPECT_EQ(p.at("transactional.id"), "features.0");
  EXPECT_EQ(p.at("transaction.timeout.ms"), "30000");
  EXPECT_EQ(p.at("socket.timeout.ms"), "10000");
  EXPECT_EQ(p.at("socket.max.fails"), "1");
  EXPECT_EQ(p.at("enable.idempotence"), "true");
  EXPECT_EQ(p.at("reconnect.backoff.max.ms"), "500");

  ProducerSettings quick = producer();
  quick.transaction_timeout = 1s;
  EXPECT_EQ(producer_properties(quick).at("socket.timeout.ms"), "1000");

  ProducerSettings plain = producer();
  plain.transactional_id.clear();
  EXPECT_EQ(producer_properties(plain).count("transactional.id"), 0u);
}

TEST(ProducerProperties, LetTheUserTuneButNotBreak) {
  ProducerSettings settings = producer();
  settings.client.properties = {{"linger.ms", "50"}, {"security.protocol", "SASL_SSL"}};
  EXPECT_EQ(producer_properties(settings).at("linger.ms"), "50");
  EXPECT_EQ(producer_properties(settings).at("security.protocol"), "SASL_SSL");
  for (const char* owned : {"acks", "transactional.id", "isolation.level", "enable.auto.commit",
                            "group.id", "auto.offset.reset", "bootstrap.servers"}) {
    settings.client.properties = {{owned, "x"}};
    EXPECT_THAT(config_error([&] { producer_properties(settings); }), HasSubstr(owned));
  }
}

TEST(ConsumerProperties, NeverTouchTheGroupOfTheJob) {
  SourceSettings settings;
  settings.client.brokers = "127.0.0.1:9092";
  settings.job = "features";
  const Properties p = consumer_properties(settings, 4);
  EXPECT_NE(p.at("group.id"), "features");
  EXPECT_EQ(p.at("enable.auto.commit"), "false");
  EXPECT_EQ(p.at("auto.offset.reset"), "error");
  EXPECT_EQ(p.at("isolation.level"), "read_committed");
  settings.is_read_committed = false;
  EXPECT_EQ(consumer_properties(settings, 4).at("isolation.level"), "read_uncommitted");
}

TEST(ConsumerProperties, ShareThePrefetchBudgetAmongPartitions) {
  SourceSettings settings;
  settings.client.brokers = "127.0.0.1:9092";
  settings.prefetch_bytes = 256u << 20;
  EXPECT_EQ(consumer_properties(settings, 4).at("queued.max.messages.kbytes"), "65536");
  EXPECT_EQ(consumer_properties(settings, 0).at("queued.max.messages.kbytes"), "262144");
  EXPECT_EQ(consumer_properties(settings, 100'000).at("queued.max.messages.kbytes"), "1024");
}

class Secrets : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(file_) << "s3cret\r\nsecond line\n";
    setenv("TM_TEST_KAFKA_PASSWORD", "from-env", 1);
  }
  void TearDown() override {
    std::filesystem::remove(file_);
    unsetenv("TM_TEST_KAFKA_PASSWORD");
  }
  const std::string file_ = testing::TempDir() + "tm_kafka_password";
  ProducerSettings settings_ = producer();
};

TEST_F(Secrets, ComeFromAFileOrTheEnvironment) {
  settings_.client.password_file = file_;
  EXPECT_EQ(producer_properties(settings_).at("sasl.password"), "s3cret");
  settings_.client.password_file.clear();
  settings_.client.password_env = "TM_TEST_KAFKA_PASSWORD";
  EXPECT_EQ(producer_properties(settings_).at("sasl.password"), "from-env");
  settings_.client.key_password_file = file_;
  EXPECT_EQ(producer_properties(settings_).at("ssl.key.password"), "s3cret");
}

TEST_F(Secrets, AreNeverPartOfTheConfiguration) {
  for (const char* secret : {"sasl.password", "ssl.key.password", "ssl.keystore.password"}) {
    settings_.client.properties = {{secret, "visible-secret"}};
    const std::string message = config_error([&] { producer_properties(settings_); });
    EXPECT_THAT(message, HasSubstr(secret));
    EXPECT_THAT(message, testing::Not(HasSubstr("visible-secret")));
  }
}

TEST_F(Secrets, NameWhatIsMissing) {
  settings_.client.password_file = file_ + "-nowhere";
  EXPECT_THAT(config_error([&] { producer_properties(settings_); }), HasSubstr("-nowhere"));
  settings_.client.password_file.clear();
  settings_.client.password_env = "TM_TEST_KAFKA_NOT_SET";
  EXPECT_THAT(config_error([&] { producer_properties(settings_); }),
              HasSubstr("TM_TEST_KAFKA_NOT_SET"));
  settings_.client.password_file = file_;
  EXPECT_THAT(config_error([&] { producer_properties(settings_); }), HasSubstr("twice"));
}

TEST(Settings, NeedBrokers) {
  ProducerSettings settings = producer();
  settings.client.brokers.clear();
  EXPECT_THAT(config_error([&] { producer_properties(settings); }), HasSubstr("brokers"));
}

}  // namespace
}  // namespace tidemill::kafka
