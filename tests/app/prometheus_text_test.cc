// Names, units and labels of /metrics.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/metric_help.h"
#include "app/metrics_text.h"

namespace tidemill {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

JobFigures figures() {
  JobFigures f;
  f.job = "features";
  f.version = "1.2.3";
  f.parallelism = 2;
  f.state = "running";
  f.process.cpu_seconds = 1.5;
  f.process.resident_bytes = 4096;
  return f;
}

std::string text_of(const MetricRegistry& metrics, const JobFigures& f) {
  const SystemClock clock;
  return prometheus_text(metrics, f, clock);
}

TEST(PrometheusText, SaysSecondsWhateverIsKept) {
  MetricRegistry metrics;
  metrics.counter("tidemill_task_time_seconds_total", {{"state", "busy"}}).add(2'500'000'000);
  metrics.counter("tidemill_restarts_total").add(7);
  Histogram& stall = metrics.histogram("tidemill_checkpoint_stall_seconds");
  stall.record(63);         // below the first bound
  stall.record(64);         // at it: not below
  stall.record(1'000'000);  // a second
  const std::string text = text_of(metrics, figures());
  EXPECT_THAT(text, HasSubstr("tidemill_task_time_seconds_total{state=\"busy\"} 2.5\n"));
  EXPECT_THAT(text, HasSubstr("tidemill_restarts_total 7\n"));
  EXPECT_THAT(text, HasSubstr("tidemill_checkpoint_stall_seconds_bucket{le=\"6.4e-05\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tidemill_checkpoint_stall_seconds_bucket{le=\"0.000128\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("tidemill_checkpoint_stall_seconds_bucket{le=\"1.048576\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("tidemill_checkpoint_stall_seconds_bucket{le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("tidemill_checkpoint_stall_seconds_sum 1.000127\n"));
}

TEST(PrometheusText, KeepsLiveAndReplayedAgesApart) {
  MetricRegistry metrics;
  metrics.histogram("tidemill_event_age_seconds", {{"stage", "source"}, {"operator", "in"}})
      .record(1);
  JobFigures f = figures();
  EXPECT_THAT(text_of(metrics, f), HasSubstr("tidemill_event_age_seconds_count{stage=\"source\","
                                             "operator=\"in\",replay=\"false\"} 1\n"));
  f.is_replay = true;
  const std::string text = text_of(metrics, f);
  EXPECT_THAT(text, HasSubstr("operator=\"in\",replay=\"true\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("replay=\"false\"")));
}

TEST(PrometheusText, TellsEachProblemWhetherThereOrNot) {
  JobFigures f = figures();
  f.problems.push_back({"hot_key", false, "", "", {}});
  const std::string text = text_of(MetricRegistry(), f);
  EXPECT_THAT(text, HasSubstr("tidemill_job_problem{problem=\"hot_key\",replay=\"false\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tidemill_job_problem{problem=\"disk_full\",replay=\"false\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("tidemill_job_state{state=\"running\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tidemill_job_state{state=\"failed\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("process_cpu_seconds_total 1.5\n"));
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes 4096\n"));
  EXPECT_THAT(text, Not(HasSubstr("process_open_fds"))) << "not known, not made up";
}

TEST(MetricHelp, KnowsTheFirstTheLastAndNoOther) {
  EXPECT_EQ(help_of("tidemill_bad_records_total"),
            "Records that could not be read or written, by reason");
  EXPECT_EQ(help_of("tidemill_watermark_timestamp_seconds"),
            "Event time that the operator has passed on");
  EXPECT_EQ(help_of("clicks_total"), "Counted by an operator of this job");
}

TEST(ProcessFigures, AreThoseOfThisProcess) {
  const ProcessFigures f = process_figures();
  EXPECT_GE(f.cpu_seconds.value_or(-1), 0);
  EXPECT_GT(f.resident_bytes.value_or(0), 1e6);
  EXPECT_GT(f.virtual_bytes.value_or(0), f.resident_bytes.value_or(0));
  EXPECT_GE(f.open_fds.value_or(0), 3);
  EXPECT_GT(f.max_fds.value_or(0), 3);
  const double now = static_cast<double>(SystemClock().processing_time().ms) / 1000;
  EXPECT_NEAR(f.start_seconds.value_or(0), now, 60);
}

}  // namespace
}  // namespace tidemill
