#include "bench/nexmark/job_run.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "app/run.h"
#include "bench/cpu_time.h"
#include "bench/nexmark/committed_rows.h"
#include "bench/nexmark/event_lines.h"
#include "bench/nexmark/file_log.h"
#include "bench/nexmark/kafka_log.h"
#include "bench/nexmark/memory_run.h"
#include "connectors/file/file_sink.h"
#include "engine/base/error.h"
#include "jobs/feature_pipeline/kafka_endpoints.h"

namespace tidemill::nexmark {
namespace {

namespace fs = std::filesystem;

constexpr int kCountOfQ12 = 1;  // the column of q12's rows

// Events of other settings are another log.
std::string log_name(const Options& o) {
  const GeneratorSettings& g = o.generator;
  return "events-" + std::to_string(o.events) + "-" + std::to_string(g.rate) + "-" +
         std::to_string(g.group) + "-" + std::to_string(g.base_time.ms);
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

// What the program's own flags and its purpose make of the settings that every job has.
std::vector<ConfigKey> settings_of(const Query& query, const Options& o) {
  std::vector<ConfigKey> keys;
  if (o.source == "kafka" || o.sink == "kafka")
    keys = kafka_settings("nexmark-" + log_name(o), "nexmark-" + std::string(query.name) + "-rows");
  // A run over a topic ends, as one over files does.
  if (o.source == "kafka" && !is_given(o, "--until-time"))
    keys.push_back({"until.offsets", "latest", ""});
  keys.push_back({"parallelism", std::to_string(o.parallelism), ""});
  keys.push_back({"state.backend", o.backend, ""});
  keys.push_back({"memory", std::to_string(o.memory), ""});
  keys.push_back({"checkpoint.dir", (fs::path(o.dir) / "checkpoints").string(), ""});
  keys.push_back({"http", "none", ""});
  return keys;
}

// Two queries under one name would take each other's checkpoints, in one topic each other's rows.
void refuse_shared(const Config& config, const Options& o) {
  if (o.queries.size() == 1) return;
  for (const char* key : {"job", "sinks.kafka.topic"}) {
    if (config.has(key))
      throw Error(ErrorCode::kConfig, std::string("each query has its own ") + key +
                                          ": give it with one query, or leave it out");
  }
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

class JobRun {
 public:
  JobRun(const Query& query, const Options& o)
      : query_(query),
        o_(o),
        log_(fs::path(o.dir) / log_name(o)),
        committed_(query.name == "q12" ? std::optional(kCountOfQ12) : std::nullopt) {
    result_.has_run = !asks_only(o);
  }

  JobRunResult run() {
    std::vector<std::string> words = {"nexmark"};
    words.insert(words.end(), o_.job_settings.begin(), o_.job_settings.end());
    words.insert(words.end(), o_.job_flags.begin(), o_.job_flags.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    std::optional<StdoutToStderr> talk;
    if (result_.has_run) talk.emplace();
    result_.exit_code = run_job(static_cast<int>(arguments.size()), arguments.data(),
                                {.name = "nexmark-" + std::string(query_.name),
                                 .description = "A Nexmark query over a log of events.",
                                 .keys = settings_of(query_, o_),
                                 .build = [this](Environment& env) { build(env); }});
    result_.cpu_s = process_cpu_seconds() - cpu_begin_;
    result_.wall_s = std::chrono::duration<double>(steady_clock::now() - begin_).count();
    talk.reset();
    result_.events = num_read_;
    if (result_.exit_code == 0 && result_.has_run) add_up();
    return result_;
  }

 private:
  using steady_clock = std::chrono::steady_clock;

  // Writes events last: what is wrong with the settings has been told by then.
  void build(Environment& env) {
    refuse_shared(env.config(), o_);
    result_.parallelism = env.parallelism();
    result_.backend = env.config().text("state.backend");
    const bool is_from_kafka = o_.source == "kafka";
    const Duration disorder = o_.disorder.value_or(Generator(o_.generator).disorder(o_.events));
    const Events events =
        read_lines(env, is_from_kafka ? features::kafka_events(env) : file_lines(env, log_),
                   disorder, num_read_);
    query_.build(events, outputs(env));
    if (is_from_kafka || o_.sink == "kafka")
      features::commit_with_kafka(
          env, is_from_kafka ? std::optional<std::string>(kLinesOperator) : std::nullopt);
    if (result_.has_run && is_from_kafka) make_topic(env.config(), o_.generator, o_.events);
    if (result_.has_run && !is_from_kafka) make_file_log(log_, o_.generator, o_.events);
    begin_ = steady_clock::now();
    cpu_begin_ = process_cpu_seconds();
  }

  Outputs outputs(Environment& env) {
    if (o_.sink == "file") {
      const fs::path dir =
          env.output_name((fs::path(o_.dir) / (std::string(query_.name) + "-rows")).string());
      env.claim_folder(dir, Environment::Use::kWrite);
      read_committed_ = [this, dir] { committed_.read_files(dir); };
      return Outputs(
          file_sink({.dir = dir, .partitions = kLogPartitions, .bucket = query_.bucket}));
    }
    if (o_.sink == "kafka") {
      const std::string topic = env.config().required("sinks.kafka.topic");
      read_committed_ = [this, client = features::sink_client_of(env.config()),
                         own = env.output_name(topic)] { committed_.read_topic(client, own); };
      return Outputs(features::kafka_sink(env, topic));
    }
    return Outputs(o_.verify ? Outputs::Kind::kChecksum : Outputs::Kind::kCount, tally_);
  }

  void add_up() {
    if (read_committed_) {
      read_committed_();
      result_.rows = committed_.rows();
      result_.checksum = committed_.checksum();
      result_.weight = committed_.weight();
    } else {
      result_.rows = tally_.rows();
      result_.checksum = tally_.checksum();
      result_.weight = tally_.weight();
    }
  }

  const Query& query_;
  const Options& o_;
  const fs::path log_;
  JobRunResult result_;
  std::atomic<std::int64_t> num_read_{0};
  Tally tally_;              // where rows are counted as they come …
  CommittedRows committed_;  // … or in the end, by this:
  std::function<void()> read_committed_;
  steady_clock::time_point begin_;
  double cpu_begin_ = 0;
};

}  // namespace

JobRunResult run_as_job(const Query& query, const Options& options) {
  return JobRun(query, options).run();
}

}  // namespace tidemill::nexmark
