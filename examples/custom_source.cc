// A source of one's own: the lines of a text file. It says where it stands; the runtime stores that
// in each checkpoint and hands it back after a restart, so that no line is lost or read twice.
#include <fstream>
#include <string>

#include "app/run.h"
#include "connectors/print/print_sink.h"
#include "engine/base/error.h"
#include "operators/source.h"
#include "operators/stream.h"

using namespace tidemill;

struct Line {
  std::string text;
  std::int64_t number = 0;
};

class TextFileReader final : public SourceReader<Line> {
 public:
  TextFileReader(OperatorContext& ctx, const std::string& path,
                 const std::vector<SplitPosition>& positions) {
    if (ctx.subtask() != 0) return;  // one split, so one subtask reads
    file_.open(path);
    if (!file_) throw Error(ErrorCode::kConfig, "cannot read the text file: " + path);
    SplitStatus split;
    split.name = path;
    split.source = path;
    for (const SplitPosition& p : positions) {
      if (p.split == path) split.next_offset = p.offset;
    }
    std::string skipped;
    for (std::int64_t i = 0; i < split.next_offset; ++i) std::getline(file_, skipped);
    splits_.push_back(split);
  }

  void poll(SourceBatch<Line>& out, std::size_t max_records) override {
    if (splits_.empty()) return;
    SplitStatus& split = splits_.front();
    std::string text;
    for (std::size_t n = 0; n < max_records && split.next_offset < split.hold; ++n) {
      if (!std::getline(file_, text)) {
        split.state = SplitState::kFinished;
        return;
      }
      out.append({text, split.next_offset}, {0, 0, split.next_offset, EventTime::min()});
      ++split.next_offset;
    }
  }

  std::vector<SplitStatus>& splits() override { return splits_; }

 private:
  std::ifstream file_;
  std::vector<SplitStatus> splits_;
};

struct Print {
  void operator()(const Line& line, EventTime, OutputBatch& out) const {
    out.begin_row();
    out.buffer() += std::to_string(line.number) + ": " + line.text;
    out.end_row();
  }
};

void build(Environment& env) {
  const std::string path = env.config().required("text.file");
  const SourceSpec<Line> spec{
      "text file", [path](OperatorContext& ctx, const std::vector<SplitPosition>& positions) {
        return std::make_unique<TextFileReader>(ctx, path, positions);
      }};
  read_events(
      env.graph(), "lines", spec, [](const Line& l) { return EventTime{l.number}; }, 0s)
      .filter([](const Line& line) { return !line.text.empty(); })
      .sink_to("stdout", print_sink(), Print{});
}

int main(int argc, char** argv) {
  return run_job(argc, argv,
                 {.name = "custom_source",
                  .description = "Numbers the lines of a text file.",
                  .keys = {{"text.file", "/etc/os-release", "the file to read"}},
                  .build = build});
}
