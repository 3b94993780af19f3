#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "service/scenario/parser.h"

namespace tidemill::scenario {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "LINE:COLUMN: what", or nothing.
std::string mistake(const std::string& text) {
  try {
    parse(text);
  } catch (const Mistake& m) {
    return std::to_string(m.line()) + ":" + std::to_string(m.column()) + ": " + m.what();
  }
  return "";
}
std::string step_mistake(const std::string& steps) {
  return mistake("pipeline tumbling size=10s partitions=2\n" + steps);
}

TEST(ParserTest, ReadsPipelineStepsAndRows) {
  const Scenario s = parse(
      "# what it shows\n"
      "\n"
      "pipeline  tumbling size=10s lateness=5s partitions=2 top(3) | trailing windows=1h,5m "
      "resolution=auto\r\n"
      "in p1     a@1s  b@-9s=2.50   # a comment\n"
      "watermark 10s        ->  a[0,10s)=(1)  late a@4s=1\n"
      "                     ->  a@1s{1h=1,5m=0}\n"
      "advance 1m -> nothing\n"
      "restart parallelism=3\n"
      "end p0\n"
      "end");
  ASSERT_EQ(s.stages.size(), 2U);
  EXPECT_EQ(s.stages[0].kind, "tumbling");
  EXPECT_EQ(s.stages[0].duration("size"), Duration(10s));
  EXPECT_EQ(s.stages[0].aggregate, Aggregate::kTop);
  EXPECT_EQ(s.stages[0].top, 3U);
  EXPECT_EQ(s.stages[1].aggregate, Aggregate::kCount);
  EXPECT_EQ(s.stages[1].choice("resolution", ""), "auto");
  EXPECT_THAT(s.inputs, ElementsAre("p0", "p1"));
  ASSERT_EQ(s.steps.size(), 6U);
  EXPECT_EQ(s.steps[0].line, 4U);
  EXPECT_EQ(s.steps[0].text, "in p1     a@1s  b@-9s=2.50");
  EXPECT_THAT(s.steps[0].inputs, ElementsAre(1U));
  ASSERT_EQ(s.steps[0].records.size(), 2U);
  EXPECT_EQ(s.steps[0].records[0].value, Value::of(1.0));
  EXPECT_EQ(s.steps[0].records[1].time, EventTime{-9000});
  EXPECT_THAT(s.steps[1].inputs, ElementsAre(0U, 1U));
  EXPECT_THAT(s.steps[1].rows, ElementsAre("a[0,10s)=(1)", "late a@4s", "a@1s{5m=0,1h=1}"));
  EXPECT_THAT(s.steps[2].rows, IsEmpty());
  EXPECT_EQ(s.steps[3].parallelism, 3);
  EXPECT_THAT(s.steps[5].inputs, ElementsAre(1U));
}

TEST(ParserTest, MistakesOfThePipelineHaveTheirPlace) {
  EXPECT_THAT(mistake(""), HasSubstr("1:1: "));
  EXPECT_THAT(mistake("in a@1s"), HasSubstr("1:1: the first line is the pipeline"));
  EXPECT_THAT(mistake("pipeline tumblink size=1s"), HasSubstr("1:10: unknown kind: tumblink"));
  EXPECT_THAT(mistake("pipeline tumbling"), HasSubstr("1:10: tumbling needs the parameter: size"));
  EXPECT_THAT(mistake("pipeline tumbling size=1s slide=2s"),
              HasSubstr("1:27: unknown parameter of tumbling: slide"));
  EXPECT_THAT(mistake("pipeline tumbling size=0"), HasSubstr("1:19: "));
  EXPECT_THAT(mistake("pipeline tumbling size=1s size=1s"), HasSubstr("given twice"));
  EXPECT_THAT(mistake("pipeline tumbling size=1s changes_only=1"),
              HasSubstr("1:27: takes no value"));
  EXPECT_THAT(mistake("pipeline tumbling size"),
              HasSubstr("1:19: unknown aggregate or parameter: size"));
  EXPECT_THAT(mistake("pipeline tumbling size=1s | | watermarks"),
              HasSubstr("1:29: a stage is missing"));
  EXPECT_THAT(mistake("pipeline watermarks count"), HasSubstr("1:21: "));
  EXPECT_THAT(mistake("pipeline global sum"), HasSubstr("global needs one of count and every"));
  EXPECT_THAT(mistake("pipeline tumbling size=1s | window-join size=1s"),
              HasSubstr("the second stage has one input"));
  EXPECT_THAT(mistake("pipeline session gap=1s early=1s | watermarks"),
              HasSubstr("cannot be the first"));
}

TEST(ParserTest, MistakesOfStepsHaveTheirPlace) {
  EXPECT_THAT(step_mistake("wait 5s"), HasSubstr("2:1: unknown step: wait"));
  EXPECT_THAT(step_mistake("in a@1s"), HasSubstr("2:1: which input? one of p0 to p1"));
  EXPECT_THAT(step_mistake("in p2 a@1s"), HasSubstr("2:4: unknown input"));
  EXPECT_THAT(step_mistake("in p0 a@1s b@"), HasSubstr("2:12: not a record"));
  EXPECT_THAT(step_mistake("in p0 a@1s=x-y"), HasSubstr("2:7: not a record"));
  EXPECT_THAT(step_mistake("in p0"), HasSubstr("2:1: a batch needs"));
  EXPECT_THAT(step_mistake("end p0\nin p0 a@1s"), HasSubstr("3:1: this input has ended: p0"));
  EXPECT_THAT(step_mistake("advance -1s"), HasSubstr("2:9: advance DURATION"));
  EXPECT_THAT(step_mistake("restart parallelism=0"), HasSubstr("2:9: restart"));
  EXPECT_THAT(step_mistake("watermark p0 5s 6s"), HasSubstr("2:1: watermark [INPUT] TIME"));
  EXPECT_THAT(step_mistake("idle p0 p1"), HasSubstr("2:9: nothing may follow"));
  EXPECT_THAT(step_mistake("watermark 5s ->"), HasSubstr("2:14: rows, or nothing"));
  EXPECT_THAT(step_mistake("watermark 5s -> late"), HasSubstr("2:17: not a row: late"));
  EXPECT_THAT(step_mistake("-> a[0,1s)=1"), HasSubstr("2:1: there is no step above"));
  EXPECT_THAT(mistake("pipeline tumbling size=1s sum\nin a@1s=x"),
              HasSubstr("2:4: the aggregate takes numbers only"));
}

TEST(ParserTest, ValuesOfOneKindAreNoneOfAnother) {
  EXPECT_THAT(mistake("pipeline timers\nin a@1s=+x"), HasSubstr("2:4: not a record"));
  EXPECT_THAT(mistake("pipeline asof-join\nin left eur@0=-"), HasSubstr("2:9: not a record"));
}

TEST(ParserTest, JoinsHaveALeftAndARightInput) {
  const Scenario scenario = parse(
      "pipeline interval-join type=left lower=-1s upper=2s\nin left a@5s=x\nwatermark right 5s -> "
      "late right a@1s=q  a@7s=(x,-)");
  EXPECT_THAT(scenario.inputs, ElementsAre("left", "right"));
  EXPECT_THAT(scenario.steps.back().rows, ElementsAre("late right a@1s=q", "a@7s=(x,-)"));
  EXPECT_EQ(parse("pipeline asof-join\nin right eur@0=110 eur@5s=-").steps.size(), 1);
  EXPECT_THAT(mistake("pipeline window-join size=10s partitions=2"),
              HasSubstr("unknown parameter of window-join: partitions"));
  EXPECT_THAT(mistake("pipeline interval-join lower=1s upper=0"),
              HasSubstr("lower is greater than upper"));
}

TEST(ParserTest, KnowsWhatUsesIdleness) {
  EXPECT_FALSE(parse("pipeline watermarks idle=off").uses_idleness());
  EXPECT_TRUE(parse("pipeline watermarks idle=5s").uses_idleness());
  EXPECT_TRUE(parse("pipeline watermarks\nidle").uses_idleness());
}

// A file is what a user wrote: no bytes may bring the parser down.
TEST(ParserTest, SurvivesCutAndChangedFiles) {
  const std::string whole =
      "pipeline  tumbling size=10s lateness=5s top(3) | trailing windows=1h,5m resolution=auto\n"
      "in        a@1s  b@-9s=2.50\nwatermark 10s -> a[0,10s)=(1,(2)) late a@4s\n-> "
      "a@1s{1h=1}\nrestart parallelism=3\n";
  for (std::size_t i = 0; i < whole.size(); ++i) {
    mistake(whole.substr(0, i));
    for (const char c : {'\0', '(', ')', '=', '@', '-', '|', ' ', '\n', '9', '\xff'}) {
      std::string changed = whole;
      changed[i] = c;
      mistake(changed);
    }
  }
}

}  // namespace
}  // namespace tidemill::scenario
