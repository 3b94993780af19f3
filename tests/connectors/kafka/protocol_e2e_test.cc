// The commit protocol and the sink on a real broker, without faults of the network: those are the
// job's tests (tests/e2e).
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "connectors/kafka/commit_protocol.h"
#include "connectors/kafka/commit_record_json.h"
#include "connectors/kafka/sink.h"
#include "connectors/kafka/transaction.h"
#include "tests/connectors/kafka/e2e_test.h"

namespace tidemill::kafka {
namespace {

using testing::HasSubstr;

// One process of the job: attempts share what the process remembers.
struct Process {
  std::function<std::unique_ptr<CommitProtocol>(Resources&, const CheckpointStorage&)> make;
  std::unique_ptr<CheckpointStorage> storage;
};

struct Attempt {
  std::unique_ptr<Resources> resources = std::make_unique<Resources>();
  std::unique_ptr<CommitProtocol> protocol;
  std::unique_ptr<OperatorContext> context;
  std::unique_ptr<Sink> sink;

  [[nodiscard]] Transaction& transaction() const { return resources->get<Transaction>(); }
  void barrier(CheckpointId id) {
    for (Snapshotable* part : context->snapshotables()) part->freeze(id);
  }
  bool drain() {
    StageSnapshot snapshot;
    bool is_done = true;
    for (Snapshotable* part : context->snapshotables()) {
      is_done = part->drain(snapshot, 1000) && is_done;
    }
    return is_done;
  }
};

class ProtocolTest : public KafkaTest {
 protected:
  void SetUp() override {
    KafkaTest::SetUp();
    if (HasFatalFailure()) return;
    std::string folder = testing::TempDir() + "tidemill-protocol-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    settings_ = {.client = client_, .job = name_};
    out_ = make_topic("out", 1);
    sink_.topic = out_;
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  Process process() {
    Process p;
    p.make = commit_protocol(settings_, metrics_);
    const auto folder = folder_ / std::to_string(num_processes_++);
    p.storage = std::make_unique<CheckpointStorage>(folder, CheckpointStorage::Access::kOwn, false);
    return p;
  }

  Attempt attempt(Process& p) {
    Attempt a;
    a.protocol = p.make(*a.resources, *p.storage);
    return a;
  }
  void build_sink(Attempt& a) {
    a.context = std::make_unique<OperatorContext>(OperatorContext::Place{.name = "out"},
                                                  *a.resources, metrics_, clock_, nullptr);
    a.sink = sink(sink_).make(*a.context);
  }

  CommitRecord record(CheckpointId seq) {
    CommitRecord r;
    r.job = name_;
    r.seq = seq;
    r.checkpoint = std::to_string(seq) + "-" + std::to_string(num_processes_);
    r.lineage = "l1";
    r.manifest_hash = seq;
    return r;
  }

  static void write_row(Attempt& a, const std::string& value) {
    OutputBatch batch;
    batch.begin_row();
    batch.buffer() += "k";
    batch.end_key();
    batch.buffer() += value;
    batch.set_time(EventTime{1'700'000'000'000});
    batch.end_row();
    a.sink->write(batch);
  }

  std::int64_t out_end(std::int64_t expected) { return await_end({out_, 0}, expected); }
  std::string last_value() { return admin().last_record({out_, 0}, "k")->value; }
  std::string control() const { return name_ + ".__commits"; }

  CommitSettings settings_;
  SinkSettings sink_;
  std::string out_;
  SystemClock clock_;
  std::filesystem::path folder_;  // of this test alone, removed with it
  int num_processes_ = 0;
};

TEST_F(ProtocolTest, TheRecordIsReadBackAndCommitsWhatWasWritten) {
  Process p = process();
  Attempt a = attempt(p);
  EXPECT_FALSE(a.protocol->acquire());
  build_sink(a);
  a.protocol->begin(0);
  a.barrier(0);
  ASSERT_TRUE(a.drain());
  a.protocol->commit(record(0));
  a.protocol->begin(1);
  write_row(a, "one");
  a.barrier(1);
  ASSERT_TRUE(a.drain());
  EXPECT_EQ(admin().offsets({{out_, 0}}, LogPoint::kLastStable).at({out_, 0}), 0);
  a.protocol->commit(record(1));
  EXPECT_EQ(out_end(2), 2);
  EXPECT_EQ(last_value(), "one");

  Attempt b = attempt(p);
  const auto found = b.protocol->acquire();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->checkpoint, record(1).checkpoint);
  EXPECT_EQ(found->manifest_hash, 1u);
}

TEST_F(ProtocolTest, RowsAfterTheBarrierWaitForTheirTransactionInOrder) {
  Process p = process();
  Attempt a = attempt(p);
  a.protocol->acquire();
  build_sink(a);
  a.protocol->begin(0);
  write_row(a, "zero");
  a.barrier(0);
  for (int i = 0; i < 3; ++i) write_row(a, "late" + std::to_string(i));
  a.sink->poll();
  ASSERT_TRUE(a.drain());
  a.protocol->commit(record(0));
  a.sink->poll();            // no transaction is open
  EXPECT_EQ(out_end(2), 2);  // zero and the marker
  EXPECT_EQ(last_value(), "zero");
  a.protocol->begin(1);
  write_row(a, "last");
  a.sink->poll();
  a.barrier(1);
  ASSERT_TRUE(a.drain());
  a.protocol->commit(record(1));
  EXPECT_EQ(out_end(7), 7);
  const auto rows = admin().records_at({{{out_, 0}, 2}});
  EXPECT_EQ(rows.at({out_, 0}).value, "late0");
  EXPECT_EQ(last_value(), "last");
}

TEST_F(ProtocolTest, AFullWaitingRoomIsBackPressure) {
  sink_.staging_bytes = 1000;
  Process p = process();
  Attempt a = attempt(p);
  a.protocol->acquire();
  build_sink(a);
  a.protocol->begin(0);
  a.barrier(0);
  EXPECT_FALSE(a.sink->is_full());
  write_row(a, std::string(1200, 'x'));
  EXPECT_TRUE(a.sink->is_full());
  ASSERT_TRUE(a.drain());
  a.protocol->commit(record(0));
  a.protocol->begin(1);
  a.sink->poll();
  EXPECT_FALSE(a.sink->is_full());
}

TEST_F(ProtocolTest, ADeclinedCheckpointKeepsTheTransaction) {
  Process p = process();
  Attempt a = attempt(p);
  a.protocol->acquire();
  build_sink(a);
  a.protocol->begin(0);
  write_row(a, "zero");
  a.barrier(0);
  write_row(a, "one");
  ASSERT_TRUE(a.drain());
  a.protocol->begin(1);  // declined: no commit of 0
  a.sink->poll();
  a.barrier(1);
  ASSERT_TRUE(a.drain());
  a.protocol->commit(record(1));
  EXPECT_EQ(out_end(3), 3);  // one transaction: two records, one marker
}

TEST_F(ProtocolTest, AnAbortAtTheEndLetsReadersGoOn) {
  Process p = process();
  {
    Attempt a = attempt(p);
    a.protocol->acquire();
    build_sink(a);
    a.protocol->begin(0);
    write_row(a, "never committed");
    a.transaction().flush();
  }
  EXPECT_EQ(out_end(2), 2);
}

TEST_F(ProtocolTest, ASecondInstanceFencesTheFirstWhichDoesNotFenceItBack) {
  Process first = process();
  Attempt a = attempt(first);
  a.protocol->acquire();
  a.protocol->begin(0);
  a.protocol->commit(record(0));
  a.protocol->begin(1);

  Process second = process();
  Attempt b = attempt(second);
  ASSERT_TRUE(b.protocol->acquire());
  EXPECT_EQ(error_of([&] { a.protocol->commit(record(1)); }), ErrorCode::kFenced);
  EXPECT_THAT(message_, HasSubstr("fenced"));

  // As long as the second has committed nothing, the first cannot tell it from a timeout.
  b.protocol->begin(1);
  CommitRecord theirs = record(1);
  theirs.checkpoint = "1-theirs";
  b.protocol->commit(theirs);
  a = attempt(first);
  EXPECT_EQ(error_of([&] { a.protocol->acquire(); }), ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr("taken over"));
  // The second was left alone.
  b.protocol->begin(2);
  b.protocol->commit(record(2));
}

TEST_F(ProtocolTest, AnInstanceFencedByItsOwnTimeoutComesBack) {
  settings_.transaction_timeout = 1s;
  Process p = process();
  Attempt a = attempt(p);
  a.protocol->acquire();
  build_sink(a);
  a.protocol->begin(0);
  a.protocol->commit(record(0));
  a.protocol->begin(1);
  a.barrier(0);
  write_row(a, "too slow");
  a.transaction().flush();
  EXPECT_EQ(out_end(2), 2);  // the broker has aborted it
  EXPECT_EQ(error_of([&] { a.protocol->commit(record(1)); }), ErrorCode::kFenced);
  a = attempt(p);
  const auto found = a.protocol->acquire();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->seq, 0u);
}

TEST_F(ProtocolTest, RowJThreeTimeoutsWithoutProgressStop) {
  settings_.transaction_timeout = 1s;
  Process p = process();
  for (int i = 0; i < 3; ++i) {
    Attempt a = attempt(p);
    a.protocol->acquire();
    build_sink(a);
    a.protocol->begin(0);
    write_row(a, "too slow");
    a.transaction().flush();
    EXPECT_EQ(out_end(2 * (i + 1)), 2 * (i + 1));
    const ErrorCode code = error_of([&] { a.protocol->commit(record(0)); });
    EXPECT_EQ(code, i < 2 ? ErrorCode::kFenced : ErrorCode::kStop) << i;
  }
  EXPECT_THAT(message_, HasSubstr("epoch does not fit transaction.timeout"));
}

TEST_F(ProtocolTest, RowMARecordRefusedByTheBrokerTwiceStops) {
  const std::string small = make_topic("small", 1, {{"max.message.bytes", "500"}});
  sink_.topic = small;
  std::string incompressible;
  for (unsigned i = 0, x = 1; i < 3000; ++i) {
    x = x * 1664525u + 1013904223u;
    incompressible += static_cast<char>(x >> 24);
  }
  Process p = process();
  for (int i = 0; i < 2; ++i) {
    Attempt a = attempt(p);
    a.protocol->acquire();
    build_sink(a);
    a.protocol->begin(0);
    write_row(a, incompressible);
    a.barrier(0);
    ASSERT_TRUE(a.drain());
    EXPECT_EQ(error_of([&] { a.protocol->commit(record(0)); }),
              i == 0 ? ErrorCode::kIo : ErrorCode::kStop);
    EXPECT_THAT(message_, HasSubstr(small + ":0"));
  }
}

TEST_F(ProtocolTest, RowMARecordRefusedByTheClientGoesByThePolicy) {
  settings_.client.properties["message.max.bytes"] = "1000";
  settings_.client.properties["batch.size"] = "900";
  const std::string large(5000, 'x');
  {
    Process p = process();
    Attempt a = attempt(p);
    a.protocol->acquire();
    build_sink(a);
    a.protocol->begin(0);
    EXPECT_EQ(error_of([&] { write_row(a, large); }), ErrorCode::kBadData);
    EXPECT_THAT(message_, HasSubstr(out_ + ":0"));
  }
  settings_.client.properties["message.max.bytes"] = "100000";
  settings_.client.properties["batch.size"] = "90000";
  sink_.refused = RefusedPolicy::kDeadLetter;
  sink_.dead_letter_topic = make_topic("dead", 1);
  Process p = process();
  Attempt a = attempt(p);
  a.protocol->acquire();
  build_sink(a);
  a.protocol->begin(0);
  write_row(a, std::string(200'000, 'y'));
  write_row(a, "good");
  a.barrier(0);
  ASSERT_TRUE(a.drain());
  a.protocol->commit(record(0));
  EXPECT_EQ(await_end({sink_.dead_letter_topic, 0}, 2), 2);
  EXPECT_EQ(admin().last_record({sink_.dead_letter_topic, 0}, "k")->value,
            std::string(64u << 10, 'y'));
  EXPECT_EQ(last_value(), "good");
}

TEST_F(ProtocolTest, RowDAnUnreadableRecordIsRefusedUnlessDuplicatesAreAccepted) {
  {
    Process p = process();
    Attempt a = attempt(p);
    a.protocol->acquire();
    a.protocol->begin(0);
    a.protocol->commit(record(0));
  }
  TransactionalProducer vandal(producer_settings(name_ + "-vandal"), metrics_);
  vandal.init();
  vandal.begin();
  const std::size_t topic = vandal.add_topic(control());
  vandal.produce(
      {.topic = topic, .partition = 0, .key = "0", .has_key = true, .value = "no record"});
  vandal.commit();
  ASSERT_EQ(await_end({control(), 0}, 4), 4);
  Process p = process();
  Attempt a = attempt(p);
  EXPECT_EQ(error_of([&] { a.protocol->acquire(); }), ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr(control()));
  EXPECT_THAT(message_, HasSubstr("--restore ID --accept-duplicates"));
  settings_.accept_duplicates = true;
  Process forced = process();
  Attempt b = attempt(forced);
  EXPECT_FALSE(b.protocol->acquire());
}

TEST_F(ProtocolTest, RowDGroupOffsetsOfOurLineageAheadOfTheRecord) {
  const std::string in = make_topic("in", 1);
  write(in, 0, {"a", "b", "c"});
  settings_.sources = {{"events", client_}};
  CommitRecord r = record(0);
  SplitPosition split;
  split.split = in + ":0";
  split.offset = 2;
  r.positions = {{"events", {split}}};
  {
    Process p = process();
    Attempt a = attempt(p);
    a.protocol->acquire();
    a.protocol->begin(0);
    a.protocol->commit(r);
  }  // waits for the group's offsets
  const auto found = admin().group_offsets(name_, {{in, 0}});
  ASSERT_EQ(found.at({in, 0}).offset, 2);
  EXPECT_EQ(found.at({in, 0}).metadata, "l1 0");
  {
    Process p = process();
    Attempt a = attempt(p);
    EXPECT_TRUE(a.protocol->acquire());
  }
  const auto set = [&](std::int64_t offset, const std::string& metadata) {
    admin().set_group_offsets(name_, {{{in, 0}, {offset, metadata}}});
    admin().finish_group_offsets(30s);
  };
  set(3, "l1 0");
  {
    Process p = process();
    Attempt a = attempt(p);
    EXPECT_EQ(error_of([&] { a.protocol->acquire(); }), ErrorCode::kRefused);
    EXPECT_THAT(message_, HasSubstr(in + ":0"));
  }
  set(2, "l1 1");
  {
    Process p = process();
    Attempt a = attempt(p);
    EXPECT_EQ(error_of([&] { a.protocol->acquire(); }), ErrorCode::kRefused);
  }
  set(99, "");  // a stranger's: row P, a warning
  Process p = process();
  Attempt a = attempt(p);
  EXPECT_TRUE(a.protocol->acquire());
}

TEST_F(ProtocolTest, AControlTopicThatForgetsIsRefused) {
  admin().create_topic({.name = control(), .config = {{"cleanup.policy", "delete"}}});
  Process p = process();
  Attempt a = attempt(p);
  EXPECT_EQ(error_of([&] { a.protocol->acquire(); }), ErrorCode::kConfig);
  EXPECT_THAT(message_, HasSubstr("compact"));
}

TEST_F(ProtocolTest, AMissingOutputTopicIsRefusedOrMade) {
  sink_.topic = name_ + "-made";
  Process p = process();
  Attempt a = attempt(p);
  a.protocol->acquire();
  EXPECT_EQ(error_of([&] { build_sink(a); }), ErrorCode::kRefused);
  EXPECT_THAT(message_, HasSubstr("create"));
  sink_.create.partitions = 3;
  build_sink(a);
  EXPECT_EQ(admin().topic(sink_.topic)->num_partitions, 3);
}

TEST_F(ProtocolTest, AtLeastOnceWritesTheRecordAfterItsOutput) {
  settings_.guarantee = Guarantee::kAtLeastOnce;
  Process p = process();
  Attempt a = attempt(p);
  EXPECT_FALSE(a.protocol->acquire());
  build_sink(a);
  a.protocol->begin(0);
  write_row(a, "one");
  a.barrier(0);
  write_row(a, "two");
  ASSERT_TRUE(a.drain());
  a.protocol->commit(record(0));
  EXPECT_EQ(out_end(1), 1);
  a.protocol->begin(1);
  a.sink->poll();
  a.barrier(1);
  ASSERT_TRUE(a.drain());
  a.protocol->commit(record(1));
  EXPECT_EQ(out_end(2), 2);
  EXPECT_EQ(await_end({control(), 0}, 2), 2);
  Attempt b = attempt(p);
  EXPECT_EQ(b.protocol->acquire()->seq, 1u);
}

TEST_F(ProtocolTest, AnAcceptedLossIsInTheAuditLog) {
  Process p = process();
  Attempt a = attempt(p);
  a.transaction().note("partition t:0 lost offsets 1..2: accepted");
  std::ifstream in(p.storage->folder() / "audit.log");
  std::string line;
  std::getline(in, line);
  EXPECT_THAT(line, HasSubstr("t:0 lost offsets 1..2"));
}

}  // namespace
}  // namespace tidemill::kafka
