#include "app/diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kNow = 1'800'000'000'000;

// A job that runs well: two partitions, a checkpoint a second.
JobFacts healthy() {
  JobFacts f;
  f.state = "running";
  f.now_ms = kNow;
  f.started_ms = kNow - 600'000;
  f.last_commit_ms = kNow - 800;
  for (int i = 0; i < 5; ++i) f.checkpoints.push_back({kNow - 1000 * i, 40'000, "features", ""});
  for (const char* name : {"events:0", "events:1"}) {
    JobFacts::Split split;
    split.source = "user events";
    split.name = name;
    split.lag_records = 12;
    f.splits.push_back(split);
  }
  f.splits[0].is_holder = true;
  f.splits[0].behind_ms = 300;
  f.splits[0].since_s = 40;
  f.events_per_s = 20'000;
  f.late_per_s = 3;
  f.bad_per_s = 0.1;
  f.hot_keys.push_back({"features", "u1", 0.04, 2});
  f.redis_p50_ms = 1;
  f.redis_p99_ms = 2;
  f.redis_rows_waiting = 30;
  f.redis_sink = "redis";
  return f;
}

std::vector<std::string> ids(const JobFacts& facts) {
  std::vector<std::string> found;
  for (const Problem& p : diagnose(facts)) {
    found.push_back(p.id);
    EXPECT_FALSE(p.text.empty());
    EXPECT_FALSE(p.next.empty()) << p.id;
  }
  return found;
}

TEST(Diagnosis, FindsNothingWithAHealthyJob) { EXPECT_THAT(ids(healthy()), IsEmpty()); }

TEST(Diagnosis, FindsNothingWithAJobThatStartsOrHasNoInputOrHasReadItAll) {
  JobFacts starting;
  starting.state = "starting";
  starting.now_ms = starting.started_ms = kNow;
  EXPECT_THAT(ids(starting), IsEmpty());
  JobFacts quiet = healthy();
  quiet.events_per_s = quiet.late_per_s = quiet.bad_per_s = 0;
  for (auto& split : quiet.splits) split.is_idle = true;
  EXPECT_THAT(ids(quiet), IsEmpty());
  JobFacts at_the_end = healthy();
  at_the_end.splits[1].is_finished = true;
  EXPECT_THAT(ids(at_the_end), IsEmpty());
}

TEST(Diagnosis, ForgetsAFailureAfterACommit) {
  JobFacts f = healthy();
  f.failures.push_back({kNow - 5000, "no brokers are down any more"});
  EXPECT_THAT(ids(f), IsEmpty());
}

TEST(Diagnosis, NamesAPartitionWithoutDataThatHoldsTheWatermark) {
  JobFacts f = healthy();
  f.splits[0].behind_ms = 20'000;
  f.splits[0].since_s = 12;
  f.splits[0].lag_records = 0;
  EXPECT_THAT(ids(f), ElementsAre("partition_idle"));
  EXPECT_THAT(diagnose(f)[0].text, HasSubstr("events:0"));
  EXPECT_EQ(diagnose(f)[0].since_ms, kNow - 12'000);
  f.splits[0].behind_ms = 9e15;
  EXPECT_THAT(diagnose(f)[0].text,
              HasSubstr("has had no data yet and holds the watermark back, for 12 s"));
  f.splits[0].lag_records = 100'000;  // it has data, it is only behind
  EXPECT_THAT(ids(f), IsEmpty());
}

TEST(Diagnosis, NamesAnIdlePartitionWhileOthersFlow) {
  JobFacts f = healthy();
  f.splits[1].is_idle = true;
  EXPECT_THAT(ids(f), ElementsAre("partition_idle"));
  EXPECT_THAT(diagnose(f)[0].text, HasSubstr("events:1"));
}

TEST(Diagnosis, NamesAnOpenTransactionAndNotThePartitionThatItHolds) {
  JobFacts f = healthy();
  f.splits[0].behind_ms = 60'000;
  f.splits[0].lag_records = 0;  // up to the last stable offset
  f.held.push_back({"events:0", 12, 3});
  EXPECT_THAT(ids(f), ElementsAre("partition_idle")) << "most transactions are open for a while";
  f.held[0].for_s = 30;
  EXPECT_THAT(ids(f), ElementsAre("held_by_transaction"));
  EXPECT_THAT(diagnose(f)[0].text, HasSubstr("partition events:0 back for 30 s; 12 records"));
}

TEST(Diagnosis, NamesALateProducer) {
  JobFacts f = healthy();
  f.late_per_s = 400;
  f.late_origin = "events:1";
  EXPECT_THAT(ids(f), ElementsAre("late_producer"));
  EXPECT_THAT(diagnose(f)[0].text, HasSubstr("events:1"));
}

TEST(Diagnosis, NamesAHotKey) {
  JobFacts f = healthy();
  f.hot_keys.push_back({"features", "u42", 0.6, 4});
  EXPECT_THAT(ids(f), ElementsAre("hot_key"));
  EXPECT_THAT(diagnose(f)[0].text, HasSubstr("u42"));
}

TEST(Diagnosis, NamesASlowRedisAndNotWhatFollowsFromIt) {
  JobFacts f = healthy();
  f.redis_p99_ms = 900;  // a pause, once
  EXPECT_THAT(ids(f), IsEmpty());
  f.redis_p50_ms = 300;
  for (auto& c : f.checkpoints) c.duration_us = 3'000'000;
  f.last_commit_ms = kNow - 100'000;
  EXPECT_THAT(ids(f), ElementsAre("slow_sink"));
}

TEST(Diagnosis, NamesSlowCheckpointsOnlyInARow) {
  JobFacts f = healthy();
  f.checkpoints[0].duration_us = f.checkpoints[1].duration_us = 1'500'000;
  EXPECT_THAT(ids(f), IsEmpty());
  f.checkpoints[2].duration_us = 2'500'000;
  EXPECT_THAT(ids(f), ElementsAre("checkpoint_slow"));
  EXPECT_THAT(diagnose(f)[0].text, HasSubstr("2.5 s of 1.0 s; the last part came from features"));
  f.checkpoints[0].drain_us = 20'000;
  f.checkpoints[0].commit_us = 1'400'000;
  EXPECT_THAT(diagnose(f)[0].text, HasSubstr("most of it until it was committed"));
}

TEST(Diagnosis, NamesAFullDiskAndNotWhatFollowsFromIt) {
  JobFacts f = healthy();
  f.last_commit_ms = kNow - 200'000;
  for (auto& c : f.checkpoints) c.declined = "write: No space left on device";
  EXPECT_THAT(ids(f), ElementsAre("disk_full"));
  EXPECT_TRUE(diagnose(f)[0].is_error);
}

TEST(Diagnosis, NamesBrokersThatAreGone) {
  JobFacts f = healthy();
  f.state = "restarting";
  f.last_commit_ms = kNow - 9000;
  f.failures.push_back({kNow - 1000, "commit failed: Local: Broker transport failure"});
  EXPECT_THAT(ids(f), ElementsAre("broker_gone"));
}

TEST(Diagnosis, NamesBrokersThatAreGoneWhileTheJobKeepsTrying) {
  JobFacts f = healthy();
  f.last_commit_ms = kNow - 120'000;
  f.splits[0].lag_records = 0;
  f.splits[0].behind_ms = 60'000;
  f.unreachable = {{"events:0", 2}, {"events:1", 2}};
  EXPECT_THAT(ids(f), ElementsAre("no_checkpoint", "partition_idle")) << "a leader may change";
  f.unreachable = {{"events:0", 11}, {"events:1", 12}};
  EXPECT_THAT(ids(f), ElementsAre("broker_gone"));
  EXPECT_THAT(diagnose(f)[0].text,
              HasSubstr("no connection to who leads events:0, events:1 for 12 s"));
  EXPECT_EQ(diagnose(f)[0].since_ms, kNow - 12'000);
}

TEST(Diagnosis, TellsALoopFromOneFailure) {
  JobFacts f = healthy();
  f.state = "restarting";
  f.last_commit_ms = kNow - 9000;
  f.failures.push_back({kNow - 100, "map threw: bad value"});
  EXPECT_THAT(ids(f), ElementsAre("restarting"));
  for (int i = 0; i < 3; ++i) f.failures.push_back({kNow - 200 - i, "map threw: bad value"});
  EXPECT_THAT(ids(f), ElementsAre("crash_loop"));
  EXPECT_THAT(diagnose(f)[0].text, HasSubstr("bad value"));
}

TEST(Diagnosis, NamesABurstOfBadDataBeforeWarnings) {
  JobFacts f = healthy();
  f.late_per_s = 400;
  f.bad_per_s = 1'000;
  f.bad_reason = "unparsable";
  EXPECT_THAT(ids(f), ElementsAre("bad_data", "late_producer"));
  EXPECT_THAT(diagnose(f)[0].text, HasSubstr("unparsable"));
}

TEST(Diagnosis, NamesThatNothingIsCommitted) {
  JobFacts f = healthy();
  f.last_commit_ms = kNow - 120'000;
  EXPECT_THAT(ids(f), ElementsAre("no_checkpoint"));
}

TEST(FirstTold, DatesWhatTheFactsDoNot) {
  const auto told = [](FirstTold& first, const JobFacts& facts, std::int64_t now) {
    std::vector<Problem> problems = diagnose(facts);
    first.date(problems, now);
    std::vector<std::int64_t> since;
    for (const Problem& problem : problems) since.push_back(problem.since_ms.value_or(-1));
    return since;
  };
  JobFacts bad = healthy();
  bad.bad_per_s = 1'000;
  FirstTold first;
  EXPECT_THAT(told(first, bad, 100), ElementsAre(100));
  JobFacts both = bad;
  both.late_per_s = 400;
  EXPECT_THAT(told(first, both, 200), ElementsAre(100, 200));
  EXPECT_THAT(told(first, healthy(), 300), ElementsAre());
  EXPECT_THAT(told(first, bad, 400), ElementsAre(400)) << "it had gone";
  JobFacts late = healthy();
  late.last_commit_ms = kNow - 120'000;
  EXPECT_THAT(told(first, late, 500), ElementsAre(kNow - 120'000)) << "its facts say since when";
}

}  // namespace
}  // namespace tidemill
