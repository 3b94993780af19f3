#include "tests/e2e/upgrade_job/job.h"

#include <cstdint>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "app/run.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"
#include "state/keyed_value.h"

namespace tidemill {
namespace {

struct Count {
  std::int64_t lines = 0;
  BOOST_DESCRIBE_CLASS(Count, (), (lines), (), ())
};
struct LongerCount {
  std::int64_t lines = 0;
  std::int32_t since_upgrade = 0;
  BOOST_DESCRIBE_CLASS(LongerCount, (), (lines, since_upgrade), (), ())
};
struct TextCount {
  std::string lines;
  BOOST_DESCRIBE_CLASS(TextCount, (), (lines), (), ())
};

void add(Count& count) { ++count.lines; }
void add(LongerCount& count) {
  ++count.lines;
  ++count.since_upgrade;
}
void add(TextCount& count) { count.lines += '|'; }

// The lines of a file that grows; offset n is line n.
class GrowingFile final : public SourceReader<std::string> {
 public:
  GrowingFile(OperatorContext& ctx, const std::string& path,
              const std::vector<SplitPosition>& positions)
      : file_(path) {
    if (ctx.subtask() != 0) return;
    SplitStatus split;
    split.name = "lines";
    split.source = "lines";
    for (const SplitPosition& p : positions) split.next_offset = p.offset;
    for (std::int64_t n = 0; n < split.next_offset; ++n)
      file_.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    splits_.push_back(split);
  }
  void poll(SourceBatch<std::string>& out, std::size_t max_records) override {
    if (splits_.empty()) return;
    std::int64_t& next = splits_.front().next_offset;
    for (std::size_t n = 0; n < max_records; ++n) {
      const auto begin = file_.tellg();
      std::string line;
      if (!std::getline(file_, line) || file_.eof()) {
        file_.clear();  // no whole line yet
        file_.seekg(begin);
        return;
      }
      out.append(line, {0, 0, next++, EventTime::min()});
    }
  }
  std::vector<SplitStatus>& splits() override { return splits_; }

 private:
  std::ifstream file_;
  std::vector<SplitStatus> splits_;
};

template <class C>
class CountLines final : public OneInput<std::string> {
 public:
  using Out = std::string;

  explicit CountLines(OperatorContext& ctx) : counts_(ctx, "seen") {}
  void process(Batch<std::string>& batch) override {
    for (std::size_t i = 0; i < batch.size(); ++i) add(counts_[batch[i].value]);
  }

 private:
  KeyedValue<std::string, C> counts_;
};

void build(Environment& env, std::string_view version) {
  const std::string path = env.config().required("lines.file");
  const SourceSpec<std::string> spec{
      "growing file", [path](OperatorContext& ctx, const std::vector<SplitPosition>& positions) {
        return std::make_unique<GrowingFile>(ctx, path, positions);
      }};
  const auto lines =
      read_events(
          env.graph(), "lines", spec, [](const std::string&) { return EventTime{0}; }, Duration(0))
          .key_by([](const std::string& line) { return line; });
  if (version == "first") lines.process<CountLines<Count>>("counts");
  if (version == "longer") lines.process<CountLines<LongerCount>>("counts");
  if (version == "text") lines.process<CountLines<TextCount>>("counts");
  if (version == "renamed") lines.process<CountLines<Count>>("tallies");
}

}  // namespace

int run_upgrade_job(std::string_view version, int argc, char** argv) {
  return run_job(argc, argv,
                 {.name = "counts",
                  .description = "Counts lines.",
                  .keys = {{"lines.file", "", "the file to read"}},
                  .build = [version](Environment& env) { build(env, version); }});
}

}  // namespace tidemill
