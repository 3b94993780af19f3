// The source on a real broker: where it starts, where it ends, and what it refuses.
#include <algorithm>
#include <chrono>
#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connectors/kafka/admin.h"
#include "connectors/kafka/consumer.h"
#include "connectors/kafka/source.h"
#include "engine/base/hash.h"
#include "tests/connectors/kafka/cluster_changes.h"
#include "tests/connectors/kafka/e2e_test.h"

namespace tidemill::kafka {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Kind = PositionSpec::Kind;

// One subtask with its reader and what it has read.
struct Running {
  std::unique_ptr<OperatorContext> context;
  std::unique_ptr<SourceReader<RawRecord>> reader;
  std::vector<std::string> values;
  std::vector<Origin> origins;

  void poll() {
    SourceBatch<RawRecord> batch;
    reader->poll(batch, 500);
    for (const RawRecord& record : batch.values) values.emplace_back(record.value);
    origins.insert(origins.end(), batch.origins.begin(), batch.origins.end());
  }
  [[nodiscard]] bool all_are(SplitState state) {
    const auto& splits = reader->splits();
    return std::all_of(splits.begin(), splits.end(),
                       [&](const SplitStatus& s) { return s.state == state; });
  }
};

class SourceTest : public KafkaTest {
 protected:
  void SetUp() override {
    KafkaTest::SetUp();
    settings_ = {.client = client_, .job = name_, .discovery_interval = 0s};
  }

  Running start(const std::vector<SplitPosition>& positions = {}, int subtask = 0,
                int parallelism = 1) {
    if (!factory_) factory_ = source(settings_);
    Running running;
    running.context = std::make_unique<OperatorContext>(
        OperatorContext::Place{.name = "events", .subtask = subtask, .parallelism = parallelism},
        resources_, metrics_, clock_, restored_ ? &*restored_ : nullptr);
    running.reader = factory_(*running.context, positions);
    return running;
  }

  template <class Condition>
  void poll_until(Running& running, Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline)
          << running.values.size() << " records so far";
      running.poll();
    }
  }
  void read_to_end(Running& running, std::size_t num_records) {
    poll_until(running, [&] {
      return running.values.size() >= num_records && running.all_are(SplitState::kAtEnd);
    });
    EXPECT_EQ(running.values.size(), num_records);
  }

  SplitPosition position(const std::string& topic, std::int32_t partition, std::int64_t offset) {
    SplitPosition p;
    p.split = to_string(TopicPartition(topic, partition));
    p.offset = offset;
    return p;
  }

  SourceSettings settings_;
  Resources resources_;
  SystemClock clock_;
  std::optional<RestoredOperator> restored_;
  ReaderFactory<RawRecord> factory_;
};

TEST_F(SourceTest, ReadsAllPartitionsFromTheEarliestRecordToTheEnd) {
  settings_.topics = {make_topic("in", 3)};
  write(settings_.topics[0], 0, {"a", "b"});
  write(settings_.topics[0], 2, {"c"});
  Running running = start();
  ASSERT_EQ(running.reader->splits().size(), 3u);
  EXPECT_EQ(running.reader->splits()[2].name, settings_.topics[0] + ":2");
  EXPECT_EQ(running.reader->splits()[2].source, settings_.topics[0]);
  read_to_end(running, 3);
  // The end lies behind the transaction markers.
  EXPECT_EQ(running.reader->splits()[0].next_offset, 3);
  EXPECT_EQ(running.reader->splits()[1].next_offset, 0);
  EXPECT_EQ(running.reader->splits()[2].next_offset, 2);
}

TEST_F(SourceTest, RecordsCarryKeyTimeHeadersAndPlace) {
  settings_.topics = {make_topic("in", 1)};
  settings_.with_headers = true;
  {
    TransactionalProducer producer(producer_settings(name_ + "-w"), metrics_);
    producer.init();
    const std::size_t topic = producer.add_topic(settings_.topics[0]);
    producer.begin();
    const RecordHeaders headers{{"h1", "v1"}, {"h2", ""}};
    producer.produce({.topic = topic,
                      .key = "k",
                      .has_key = true,
                      .value = "v",
                      .timestamp_ms = 1'700'000'000'123,
                      .headers = &headers});
    producer.produce({.topic = topic, .has_value = false, .timestamp_ms = 5});
    producer.commit();
  }
  Running running = start();
  SourceBatch<RawRecord> batch;
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (batch.size() < 2 && std::chrono::steady_clock::now() < deadline) {
    running.reader->poll(batch, 500);
  }
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(batch.values[0].key, "k");
  EXPECT_TRUE(batch.values[0].has_key);
  EXPECT_EQ(batch.values[0].value, "v");
  EXPECT_EQ(batch.origins[0].timestamp.ms, 1'700'000'000'123);
  ASSERT_NE(batch.values[0].headers, nullptr);
  EXPECT_THAT(*batch.values[0].headers, ElementsAre(std::pair("h1", "v1"), std::pair("h2", "")));
  EXPECT_FALSE(batch.values[1].has_key);
  EXPECT_FALSE(batch.values[1].has_value);
  EXPECT_EQ(batch.values[1].headers, nullptr);
  EXPECT_EQ(batch.origins[1].offset, 1);
  // The bytes outlive the reader for as long as the batch keeps them.
  running.reader.reset();
  EXPECT_EQ(batch.values[0].value, "v");
}

TEST_F(SourceTest, GoesOnAtItsPositionAndSeesNoAbortedRecord) {
  settings_.topics = {make_topic("in", 1)};
  const std::string& topic = settings_.topics[0];
  write(topic, 0, {"a", "b"});  // 0, 1, marker 2
  {
    TransactionalProducer producer(producer_settings(name_ + "-w"), metrics_);
    producer.init();
    const std::size_t index = producer.add_topic(topic);
    producer.begin();
    producer.produce({.topic = index, .value = "aborted"});  // 3, marker 4
    producer.flush();
    producer.abort();
  }
  write(topic, 0, {"c"});  // 5, marker 6
  Running running = start({position(topic, 0, 1)});
  read_to_end(running, 2);
  EXPECT_THAT(running.values, ElementsAre("b", "c"));
  EXPECT_EQ(running.origins[1].offset, 5);
  EXPECT_EQ(running.reader->splits()[0].next_offset, 7);
  EXPECT_GT(count("tidemill_kafka_offset_gaps_total"), 0u);
}

TEST_F(SourceTest, AGapInAContiguousTopicStops) {
  settings_.topics = {make_topic("in", 1)};
  settings_.expect_contiguous = true;
  write(settings_.topics[0], 0, {"a"});
  write(settings_.topics[0], 0, {"b"});
  Running running = start();
  EXPECT_EQ(error_of([&] {
              while (true) running.poll();
            }),
            ErrorCode::kBadData);
  EXPECT_THAT(message_, HasSubstr(settings_.topics[0] + ":0"));
}

TEST_F(SourceTest, SplitsAreSharedOutByIndex) {
  settings_.topics = {make_topic("in", 5)};
  Running first = start({}, 0, 2);
  Running second = start({}, 1, 2);
  ASSERT_EQ(first.reader->splits().size(), 3u);
  ASSERT_EQ(second.reader->splits().size(), 2u);
  EXPECT_EQ(second.reader->splits()[1].partition, 3);
}

TEST_F(SourceTest, StartsAtLatestTimeAndExplicitOffsets) {
  const std::string topic = make_topic("in", 1);
  settings_.topics = {topic};
  write(topic, 0, {"a", "b"});
  ASSERT_EQ(await_end({topic, 0}, 3), 3);

  settings_.start = {.kind = Kind::kLatest};
  EXPECT_EQ(start().reader->splits()[0].next_offset, 3);
  factory_ = nullptr;
  settings_.start = parse_start(topic + ":0=1");
  EXPECT_EQ(start().reader->splits()[0].next_offset, 1);
  factory_ = nullptr;
  settings_.start = {.kind = Kind::kTime, .time = EventTime{4'102'444'800'000}};
  EXPECT_EQ(start().reader->splits()[0].next_offset, 3);
  factory_ = nullptr;
  settings_.start = {.kind = Kind::kTime, .time = EventTime{1}};
  EXPECT_EQ(start().reader->splits()[0].next_offset, 0);

  factory_ = nullptr;
  settings_.start = parse_start(topic + ":1=1");
  EXPECT_EQ(error_of([&] { start(); }), ErrorCode::kConfig);
  EXPECT_THAT(message_, HasSubstr(topic + ":0"));
  factory_ = nullptr;
  settings_.start = parse_start(topic + ":0=99");
  EXPECT_EQ(error_of([&] { start(); }), ErrorCode::kRefused);
}

TEST_F(SourceTest, StartsAtCommittedOffsetsOrItsFallback) {
  const std::string topic = make_topic("in", 2);
  settings_.topics = {topic};
  write(topic, 0, {"a", "b"});
  write(topic, 1, {"c"});
  ASSERT_EQ(await_end({topic, 1}, 2), 2);
  admin().set_group_offsets(name_, {{{topic, 0}, {1, ""}}});
  admin().finish_group_offsets(30s);

  settings_.start = parse_start("committed");
  EXPECT_EQ(error_of([&] { start(); }), ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr(topic + ":1"));
  EXPECT_THAT(message_, HasSubstr("committed:earliest"));
  factory_ = nullptr;
  settings_.start = parse_start("committed:latest");
  Running running = start();
  EXPECT_EQ(running.reader->splits()[0].next_offset, 1);
  EXPECT_EQ(running.reader->splits()[1].next_offset, 2);
}

TEST_F(SourceTest, EndsAtItsStopPositionByPosition) {
  const std::string topic = make_topic("in", 2);
  settings_.topics = {topic};
  write(topic, 0, {"a", "b", "c"});
  // 3 is the marker: no record has this offset.
  settings_.stop = parse_stop(topic + ":0=4," + topic + ":1=0");
  Running running = start();
  EXPECT_EQ(running.reader->splits()[1].state, SplitState::kFinished);
  poll_until(running, [&] { return running.all_are(SplitState::kFinished); });
  EXPECT_THAT(running.values, ElementsAre("a", "b", "c"));

  factory_ = nullptr;
  settings_.stop = parse_stop(topic + ":0=2," + topic + ":1=0");
  Running shorter = start();
  poll_until(shorter, [&] { return shorter.all_are(SplitState::kFinished); });
  EXPECT_THAT(shorter.values, ElementsAre("a", "b"));
  EXPECT_EQ(shorter.reader->splits()[0].next_offset, 2);
}

TEST_F(SourceTest, AStopAtLatestDoesNotMoveWhenTheJobRestarts) {
  const std::string topic = make_topic("in", 1);
  settings_.topics = {topic};
  settings_.stop = {.kind = Kind::kLatest};
  write(topic, 0, {"a", "b"});
  ASSERT_EQ(await_end({topic, 0}, 3), 3);
  Running running = start();
  StageSnapshot snapshot;
  for (Snapshotable* part : running.context->snapshotables()) {
    part->freeze(1);
    ASSERT_TRUE(part->drain(snapshot, 100));
  }
  running.reader.reset();
  write(topic, 0, {"c"});

  restored_ = RestoredOperator{{{snapshot.parts, {}}}};
  factory_ = nullptr;
  Running again = start({position(topic, 0, 0)});
  poll_until(again, [&] { return again.all_are(SplitState::kFinished); });
  EXPECT_THAT(again.values, ElementsAre("a", "b"));

  // Told something else, it goes by that.
  settings_.stop = parse_stop(topic + ":0=5");
  factory_ = nullptr;
  Running longer = start({position(topic, 0, 3)});
  poll_until(longer, [&] { return longer.all_are(SplitState::kFinished); });
  EXPECT_THAT(longer.values, ElementsAre("c"));
}

TEST_F(SourceTest, FindsNewPartitionsWhileItRuns) {
  settings_.topics = {make_topic("in", 1)};
  settings_.discovery_interval = 50ms;
  Running running = start();
  add_partitions(client_, settings_.topics[0], 3);
  write(settings_.topics[0], 2, {"new"});
  poll_until(running, [&] { return running.reader->splits().size() == 3; });
  read_to_end(running, 1);
  EXPECT_EQ(running.reader->splits()[2].next_offset, 2);
}

// Right after a topic was made, a broker or the client may still say that there is no such one.
TEST_F(SourceTest, WaitsForAPartitionToBecomeKnown) {
  const std::string topic = make_topic("in", 1);
  Admin admin(client_, name_, 30s);
  const TopicPartition late(topic, 1);
  (void)admin.offsets({{topic, 0}}, LogPoint::kLastStable);  // the client has heard of the topic
  const auto end = [&] { return admin.offsets({late}, LogPoint::kLastStable); };
  auto asked = std::async(std::launch::async, end);
  EXPECT_EQ(asked.wait_for(300ms), std::future_status::timeout) << "it was refused at once";
  add_partitions(client_, topic, 2);
  EXPECT_EQ(asked.get(), (std::map<TopicPartition, std::int64_t>{{late, 0}}));
}

// However little time there is, it is the partition that is named, and not the time.
TEST_F(SourceTest, RefusesAPartitionThatDoesNotAppear) {
  Admin admin(client_, name_, 1s);
  const TopicPartition missing(make_topic("in", 1), 7);
  try {
    (void)admin.offsets({missing}, LogPoint::kLastStable);
    ADD_FAILURE() << "there is no such partition";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kRefused);
    EXPECT_THAT(e.what(), HasSubstr(to_string(missing)));
  }
}

TEST_F(SourceTest, FindsTopicsByPattern) {
  make_topic("in-a", 1);
  make_topic("in-b", 2);
  make_topic("other", 1);
  settings_.topic_pattern = name_ + "-in-.*";
  EXPECT_EQ(start().reader->splits().size(), 3u);
  factory_ = nullptr;
  settings_.topic_pattern = "(";
  EXPECT_EQ(error_of([&] { start(); }), ErrorCode::kConfig);
  factory_ = nullptr;
  settings_.topic_pattern = name_ + "-nothing";
  EXPECT_EQ(error_of([&] { start(); }), ErrorCode::kConfig);
}

TEST_F(SourceTest, ReadsExplicitPartitionsOnly) {
  const std::string topic = make_topic("in", 3);
  settings_.partitions = {{topic, 1}};
  write(topic, 0, {"a"});
  write(topic, 1, {"b"});
  Running running = start();
  read_to_end(running, 1);
  EXPECT_THAT(running.values, ElementsAre("b"));
  factory_ = nullptr;
  settings_.partitions = {{topic, 7}};
  EXPECT_EQ(error_of([&] { start(); }), ErrorCode::kRefused);
}

TEST_F(SourceTest, RowCANewPartitionStartsAtItsEarliestAForgottenOneIsRefused) {
  const std::string topic = make_topic("in", 3);
  settings_.topics = {topic};
  write(topic, 2, {"new"});
  Running running = start({position(topic, 0, 0), position(topic, 1, 0)});
  read_to_end(running, 1);
  factory_ = nullptr;
  running = {};
  EXPECT_EQ(error_of([&] {
              start({position(topic, 0, 0), position(topic, 2, 0)});
            }),
            ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr(topic + ":1"));
}

TEST_F(SourceTest, RowFLostRecordsAreRefusedUnlessAccepted) {
  const std::string topic = make_topic("in", 1);
  settings_.topics = {topic};
  write(topic, 0, {"a", "b", "c", "d"});
  ASSERT_EQ(await_end({topic, 0}, 5), 5);
  delete_records_before(client_, {topic, 0}, 3);
  EXPECT_EQ(error_of([&] { start({position(topic, 0, 1)}); }), ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr("lost offsets 1..2"));
  EXPECT_THAT(message_, HasSubstr("--accept-loss " + topic + ":0"));
  factory_ = nullptr;
  settings_.accept_loss = {{topic, 0}};
  Running running = start({position(topic, 0, 1)});
  read_to_end(running, 1);
  EXPECT_THAT(running.values, ElementsAre("d"));
}

// The log loses records between the check at the start and the fetch.
TEST_F(SourceTest, RowsFAndTAtRunTime) {
  const std::string topic = make_topic("in", 1);
  write(topic, 0, {"a", "b", "c", "d"});
  ASSERT_EQ(await_end({topic, 0}, 5), 5);
  delete_records_before(client_, {topic, 0}, 3);
  const auto read_from = [&](std::int64_t offset) {
    Consumer consumer(settings_, 1, metrics_);
    consumer.add({topic, 0}, offset, kNoStop);
    SourceBatch<RawRecord> batch;
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (batch.size() == 0 && std::chrono::steady_clock::now() < deadline) {
      consumer.poll(0, 100, batch);
    }
  };
  EXPECT_EQ(error_of([&] { read_from(1); }), ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr("lost offsets 1..2"));
  EXPECT_THAT(message_, HasSubstr("--accept-loss " + topic + ":0"));
  EXPECT_EQ(error_of([&] { read_from(99); }), ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr("ends at 5"));
}

TEST_F(SourceTest, RowTALogThatEndsBeforeThePosition) {
  const std::string topic = make_topic("in", 1);
  settings_.topics = {topic};
  write(topic, 0, {"a"});
  EXPECT_EQ(error_of([&] { start({position(topic, 0, 7)}); }), ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr("truncated"));
}

TEST_F(SourceTest, RowGAnotherRecordAtTheTail) {
  const std::string topic = make_topic("in", 1);
  settings_.topics = {topic};
  write(topic, 0, {"a", "b"});
  ASSERT_EQ(await_end({topic, 0}, 3), 3);
  SplitPosition p = position(topic, 0, 2);
  p.tail_offset = 1;
  p.tail_timestamp = admin().records_at({{{topic, 0}, 1}}).at({topic, 0}).timestamp_ms;
  p.tail_hash = hash_bytes("b");
  EXPECT_EQ(start({p}).reader->splits()[0].next_offset, 2);
  factory_ = nullptr;
  p.tail_hash = hash_bytes("x");
  EXPECT_EQ(error_of([&] { start({p}); }), ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr(topic + ":0"));
  factory_ = nullptr;
  p.tail_hash = hash_bytes("b");
  ++p.tail_timestamp;
  EXPECT_EQ(error_of([&] { start({p}); }), ErrorCode::kRefused);
}

TEST_F(SourceTest, RowIAMissingTopicOrPartitionIsRefused) {
  const std::string topic = make_topic("in", 1);
  settings_.topics = {topic, name_ + "-nowhere"};
  EXPECT_EQ(error_of([&] { start(); }), ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr(name_ + "-nowhere"));
  factory_ = nullptr;
  settings_.topics = {topic};
  EXPECT_EQ(error_of([&] {
              start({position(topic, 0, 0), position(topic, 4, 9)});
            }),
            ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr(topic + ":4"));
}

TEST_F(SourceTest, RowIATopicDeletedWhileItIsRead) {
  const std::string topic = make_topic("in", 1);
  settings_.topics = {topic};
  settings_.discovery_interval = 50ms;
  write(topic, 0, {"a"});
  Running running = start();
  read_to_end(running, 1);
  delete_topic(client_, topic);
  EXPECT_EQ(error_of([&] {
              const auto deadline = std::chrono::steady_clock::now() + 30s;
              while (std::chrono::steady_clock::now() < deadline) running.poll();
            }),
            ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr(topic));
}

TEST_F(SourceTest, NoBrokerIsAnErrorInTime) {
  settings_.client.brokers = "127.0.0.1:1";
  settings_.topics = {"t"};
  settings_.request_timeout = 1s;
  EXPECT_EQ(error_of([&] { start(); }), ErrorCode::kIo);
}

}  // namespace
}  // namespace tidemill::kafka
