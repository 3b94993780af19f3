// Counts words in windows of 10 seconds of event time.
#include <string>

#include "app/run.h"
#include "connectors/generator/generator.h"
#include "connectors/print/print_sink.h"
#include "operators/aggregates.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"

using namespace tidemill;

struct Line {
  std::string text;
  EventTime at;
};

Line make_line(std::int32_t /*split*/, std::int64_t i) {
  static const char* const kLines[] = {"the tide comes in", "the mill turns", "the tide goes out"};
  return {kLines[i % 3], EventTime{i * 1000}};
}

void split_words(const Line& line, auto emit) {
  for (std::size_t at = 0; at < line.text.size();) {
    const std::size_t end = std::min(line.text.find(' ', at), line.text.size());
    emit(line.text.substr(at, end - at));
    at = end + 1;
  }
}

struct Print {
  void operator()(const Windowed<std::string, std::int64_t>& row, EventTime,
                  OutputBatch& out) const {
    out.begin_row();
    out.buffer() += std::to_string(row.window.start.ms / 1000) + "s " + row.key + " " +
                    std::to_string(row.value);
    out.end_row();
  }
};

void build(Environment& env) {
  const SourceSpec<Line> lines{"lines", generator<Line>({.count = 30, .make = make_line})};
  read_events(env.graph(), "lines", lines, &Line::at, 0s)
      .flat_map<std::string>([](const Line& line, auto emit) { split_words(line, emit); })
      .key_by([](const std::string& word) -> const std::string& { return word; })
      .window(Tumbling{.size = 10s})
      .aggregate<Count>("counts")
      .sink_to("stdout", print_sink(), Print{});
}

int main(int argc, char** argv) {
  return run_job(
      argc, argv,
      {.name = "word_count", .description = "Counts words in windows of 10 s.", .build = build});
}
