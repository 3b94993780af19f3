#include "bench/nexmark/file_job.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string_view>
#include <unistd.h>
#include <unordered_map>
#include <vector>

#include "app/run.h"
#include "bench/nexmark/file_log.h"
#include "bench/nexmark/fnv.h"
#include "bench/nexmark/memory_run.h"
#include "connectors/file/file_sink.h"
#include "engine/base/error.h"

namespace tidemill::nexmark {
namespace {

namespace fs = std::filesystem;

fs::path log_of(const Options& o) {
  const GeneratorSettings& g = o.generator;
  return fs::path(o.dir) / ("events-" + std::to_string(o.events) + "-" + std::to_string(g.rate) +
                            "-" + std::to_string(g.group) + "-" + std::to_string(g.base_time.ms));
}

bool is_given(const Options& o, std::string_view flag) {
  return std::any_of(o.job_flags.begin(), o.job_flags.end(),
                     [&](const std::string& word) { return word.starts_with(flag); });
}

// Flags that print something and end.
bool asks_only(const Options& o) {
  for (const char* flag :
       {"--print-config", "--validate", "--explain", "--list-checkpoints", "--inspect"}) {
    if (is_given(o, flag)) return true;
  }
  return false;
}

// Given ones come last and win.
std::vector<std::string> job_words(const Query& query, const Options& o) {
  std::vector<std::string> words = {"nexmark",
                                    "--set",
                                    "job=nexmark-" + std::string(query.name),
                                    "--set",
                                    "state.backend=" + o.backend,
                                    "--set",
                                    "memory=" + std::to_string(o.memory),
                                    "--parallelism",
                                    std::to_string(o.parallelism)};
  if (!is_given(o, "--checkpoint-dir"))
    words.push_back("--checkpoint-dir=" + (fs::path(o.dir) / "checkpoints").string());
  if (!is_given(o, "--http")) words.emplace_back("--http=none");
  words.insert(words.end(), o.job_flags.begin(), o.job_flags.end());
  return words;
}

// What the sink's files add up to: RowLine's lines (outputs.h).
RowChecksum sum_of_files(const fs::path& dir) {
  RowChecksum rows;
  std::unordered_map<std::string, std::uint64_t> table;
  const auto take = [&](std::string_view line) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos) {
      rows.add(Fnv::of(line));
      return;
    }
    const std::string_view row = line.substr(line.find('\t', tab + 1) + 1);
    const std::string identity(line.substr(tab + 1, row.data() - line.data() - tab - 2));
    if (const auto former = table.find(identity); former != table.end()) {
      rows.remove(former->second);
      table.erase(former);
    }
    if (line.front() == '-') return;
    rows.add(table.emplace(identity, Fnv::of(row)).first->second);
  };
  for (const auto& partition : fs::directory_iterator(dir)) {
    std::set<fs::path> files;
    for (const auto& file : fs::directory_iterator(partition)) {
      const std::string name = file.path().filename().string();
      if (name.ends_with(".jsonl") && !name.starts_with(".")) files.insert(file.path());
    }
    for (const fs::path& file : files) {
      std::ifstream in(file, std::ios::binary);
      for (std::string line; std::getline(in, line);) take(line);
      if (in.bad()) throw Error(ErrorCode::kIo, "rows could not be read: " + file.string());
    }
  }
  return rows;
}

// A job's last words are talk here: stdout is for the report.
class StdoutToStderr {
 public:
  StdoutToStderr() {
    std::fflush(stdout);
    stdout_ = ::dup(STDOUT_FILENO);
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
  }
  ~StdoutToStderr() {
    std::fflush(stdout);
    ::dup2(stdout_, STDOUT_FILENO);
    ::close(stdout_);
  }
  StdoutToStderr(const StdoutToStderr&) = delete;
  StdoutToStderr& operator=(const StdoutToStderr&) = delete;

 private:
  int stdout_;
};

}  // namespace

FileJobResult run_file_job(const Query& query, const Options& o) {
  const fs::path log = log_of(o);
  make_file_log(log, o.generator, o.events);
  const Duration disorder = o.disorder.value_or(Generator(o.generator).disorder(o.events));
  const fs::path rows_dir = fs::path(o.dir) / (std::string(query.name) + "-rows");
  const bool to_files = o.sink == "file";
  Tally tally;
  fs::path written;
  const auto build = [&](Environment& env) {
    const Events events = read_file_log(env, log, disorder);
    if (to_files) {
      written = env.output_name(rows_dir.string());
      env.claim_folder(written, Environment::Use::kWrite);
      query.build(events, Outputs(file_sink({.dir = written, .partitions = kLogPartitions})));
    } else {
      query.build(events,
                  Outputs(o.verify ? Outputs::Kind::kChecksum : Outputs::Kind::kCount, tally));
    }
  };

  std::vector<std::string> words = job_words(query, o);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  FileJobResult result;
  using std::chrono::steady_clock;
  const auto begin = steady_clock::now();
  const double cpu_begin = cpu_seconds();
  std::optional<StdoutToStderr> talk;
  result.has_run = !asks_only(o);
  if (result.has_run) talk.emplace();
  result.exit_code = run_job(static_cast<int>(arguments.size()), arguments.data(),
                             {.name = "nexmark-" + std::string(query.name),
                              .description = "A Nexmark query over a file log.",
                              .build = build});
  talk.reset();
  result.cpu_s = cpu_seconds() - cpu_begin;
  result.wall_s = std::chrono::duration<double>(steady_clock::now() - begin).count();
  result.rows = tally.rows();
  result.checksum = tally.checksum();
  if (result.exit_code == 0 && to_files && !written.empty() && fs::exists(written)) {
    const RowChecksum rows = sum_of_files(written);
    result.rows = rows.rows();
    result.checksum = rows.sum();
  }
  return result;
}

}  // namespace tidemill::nexmark
