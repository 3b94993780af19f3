// What a start finds on a real broker that would hurt later.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

#include "connectors/kafka/start_checks.h"
#include "engine/base/clock.h"
#include "tests/connectors/kafka/e2e_test.h"

namespace tidemill::kafka {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

using StartChecksTest = KafkaTest;

TEST_F(StartChecksTest, FindWhatWouldHurtLater) {
  const std::string in = make_topic("in", 1, {{"retention.ms", "3600000"}});
  const std::string forgetful = make_topic(
      "forgetful", 1, {{"retention.ms", "604800000"}, {"unclean.leader.election.enable", "true"}});
  CommitSettings settings{.client = client_, .job = name_, .transaction_timeout = 1h};
  SinkSettings missing;
  missing.topic = name_ + "-missing";
  SinkSettings by_event_time;
  by_event_time.topic = forgetful;
  const auto texts = [&](StartFinding::Weight weight, const std::vector<SinkSettings>& sinks,
                         const std::map<std::string, SourceSettings>& sources) {
    std::vector<std::string> found;
    for (const StartFinding& f : check_start(settings, sinks, sources)) {
      if (f.weight == weight) found.push_back(f.text);
    }
    return found;
  };
  const std::map<std::string, SourceSettings> sources{
      {"events", {.client = client_, .job = name_, .topics = {in, name_ + "-nowhere"}}}};
  EXPECT_THAT(texts(StartFinding::Weight::kError, {missing, by_event_time}, sources),
              testing::UnorderedElementsAre(HasSubstr("transaction.max.timeout.ms=900000"),
                                            HasSubstr(missing.topic), HasSubstr("-nowhere")));
  EXPECT_THAT(
      texts(StartFinding::Weight::kWarning, {missing, by_event_time}, sources),
      testing::IsSupersetOf({HasSubstr("min.insync.replicas"), HasSubstr("event time"),
                             HasSubstr("unclean"), HasSubstr("keeps records for only 3600000")}));

  settings.transaction_timeout = 0s;
  SinkSettings right;
  right.topic = make_topic("out", 1);
  EXPECT_THAT(texts(StartFinding::Weight::kError, {right}, {}), testing::IsEmpty());

  const std::int64_t now = SystemClock().processing_time().ms;
  const std::map<std::string, SourceSettings> one{
      {"events", {.client = client_, .job = name_, .topics = {in}}}};
  write(in, 0, {"of now"}, now);
  EXPECT_THAT(texts(StartFinding::Weight::kWarning, {}, one), Not(Contains(HasSubstr("clock"))));
  write(in, 0, {"from ahead"}, now + 90'000);
  EXPECT_THAT(texts(StartFinding::Weight::kWarning, {}, one),
              Contains(AllOf(HasSubstr(in), HasSubstr("at offset 2"), HasSubstr("clock"))));
}

}  // namespace
}  // namespace tidemill::kafka
