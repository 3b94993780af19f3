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

}  // namespace

JobRunResult run_as_job(const Query& query, const Options& o) {
  using std::chrono::steady_clock;
  const Duration disorder = o.disorder.value_or(Generator(o.generator).disorder(o.events));
  JobRunResult result;
  result.has_run = !asks_only(o);
  CommittedRows committed(query.name == "q12" ? std::optional(kCountOfQ12) : std::nullopt);
  std::function<void()> read_committed;  // empty: rows are counted as they come
  std::atomic<std::int64_t> num_read{0};
  Tally tally;
  steady_clock::time_point begin;
  double cpu_begin = 0;

  const fs::path log = fs::path(o.dir) / log_name(o);
  const auto lines = [&](Environment& env) {
    return o.source == "kafka" ? features::kafka_events(env) : file_lines(env, log);
  };
  const auto outputs = [&](Environment& env) {
    if (o.sink == "file") {
      const fs::path dir =
          env.output_name((fs::path(o.dir) / (std::string(query.name) + "-rows")).string());
      env.claim_folder(dir, Environment::Use::kWrite);
      read_committed = [&committed, dir] { committed.read_files(dir); };
      return Outputs(file_sink({.dir = dir, .partitions = kLogPartitions, .bucket = query.bucket}));
    }
    if (o.sink == "kafka") {
      const std::string topic = env.config().required("sinks.kafka.topic");
      read_committed = [&committed, client = features::sink_client_of(env.config()),
                        own = env.output_name(topic)] { committed.read_topic(client, own); };
      return Outputs(features::kafka_sink(env, topic));
    }
    return Outputs(o.verify ? Outputs::Kind::kChecksum : Outputs::Kind::kCount, tally);
  };
  const auto build = [&](Environment& env) {
    refuse_shared(env.config(), o);
    result.parallelism = env.parallelism();
    result.backend = env.config().text("state.backend");
    const Events events = read_lines(env, lines(env), disorder, num_read);
    query.build(events, outputs(env));
    if (o.source == "kafka" || o.sink == "kafka")
      features::commit_with_kafka(
          env, o.source == "kafka" ? std::optional<std::string>(kLinesOperator) : std::nullopt);
    if (result.has_run && o.source == "kafka") make_topic(env.config(), o.generator, o.events);
    if (result.has_run && o.source == "file") make_file_log(log, o.generator, o.events);
    begin = steady_clock::now();
    cpu_begin = cpu_seconds();
  };

  std::vector<std::string> words = {"nexmark"};
  words.insert(words.end(), o.job_settings.begin(), o.job_settings.end());
  words.insert(words.end(), o.job_flags.begin(), o.job_flags.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  std::optional<StdoutToStderr> talk;
  if (result.has_run) talk.emplace();
  result.exit_code = run_job(static_cast<int>(arguments.size()), arguments.data(),
                             {.name = "nexmark-" + std::string(query.name),
                              .description = "A Nexmark query over a log of events.",
                              .keys = settings_of(query, o),
                              .build = build});
  result.cpu_s = cpu_seconds() - cpu_begin;
  result.wall_s = std::chrono::duration<double>(steady_clock::now() - begin).count();
  talk.reset();
  result.events = num_read;
  if (result.exit_code != 0 || !result.has_run) return result;
  if (read_committed) {
    read_committed();
    result.rows = committed.rows();
    result.checksum = committed.checksum();
    result.weight = committed.weight();
  } else {
    result.rows = tally.rows();
    result.checksum = tally.checksum();
    result.weight = tally.weight();
  }
  return result;
}

}  // namespace tidemill::nexmark
