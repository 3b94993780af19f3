// Each example of docs/operators is a job that can be planned, with one subtask and with several.
#include <gtest/gtest.h>

#include "engine/graph/plan.h"
#include "tests/docs/streams.h"

namespace tidemill {
namespace {

template <class T>
Stream<T> stream_of(const std::shared_ptr<GraphBuilder>& graph, const std::string& name) {
  const SourceSpec<T> nothing{
      "nothing",
      generator<T>({.count = 0, .make = [](std::int32_t, std::int64_t) { return T{}; }})};
  const auto time_of = [](const T&) { return EventTime{0}; };
  return read_events(graph, name, nothing, time_of, Duration(0));
}

class ExamplesTest : public testing::TestWithParam<Example> {};

TEST_P(ExamplesTest, IsAJob) {
  const auto graph = std::make_shared<GraphBuilder>();
  GetParam().build({graph, stream_of<Payment>(graph, "payments"), stream_of<Click>(graph, "clicks"),
                    stream_of<Rate>(graph, "rates")});
  for (const int parallelism : {1, 3}) {
    const Plan plan = make_plan(graph->graph(), parallelism);
    EXPECT_GT(plan.graph.nodes.size(), 3U) << "more than the three sources";
  }
}

INSTANTIATE_TEST_SUITE_P(Docs, ExamplesTest, testing::ValuesIn(kExamples), [](const auto& example) {
  std::string name = example.param.where;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
});

}  // namespace
}  // namespace tidemill
