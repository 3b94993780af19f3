#include "app/run.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <thread>
#include <unistd.h>
#include <utility>

#include "app/checkpoint_tools.h"
#include "app/dry_start.h"
#include "app/flags.h"
#include "app/job_api.h"
#include "app/job_view.h"
#include "app/logging.h"
#include "app/otlp_exporter.h"
#include "app/progress.h"
#include "app/stop_signals.h"
#include "app/transaction_tool.h"
#include "app/upgrade_check.h"
#include "app/validate.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/checkpoint/manifest_commit.h"
#include "engine/graph/plan.h"
#include "state/backend.h"

namespace tidemill {
namespace {

Config read_config(const Flags& flags, const JobDefinition& definition) {
  std::vector<ConfigKey> keys = common_keys();
  for (ConfigKey& key : keys) {
    if (key.name == "job") key.fallback = definition.name;
  }
  for (const ConfigKey& own : definition.keys) {
    const auto former = std::find_if(keys.begin(), keys.end(),
                                     [&](const ConfigKey& key) { return key.name == own.name; });
    if (former == keys.end()) {
      keys.push_back(own);
    } else {
      former->fallback = own.fallback;
    }
  }
  Config config(std::move(keys));
  if (!flags.config_file.empty()) config.read_file(flags.config_file);
  config.read_environment(environ);
  for (const auto& [key, value] : flags.settings) config.set(key, value, "command line");
  return config;
}

bool is_plain_name(const std::string& name) {
  return !name.empty() &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
             std::string::npos &&
         name.front() != '.';
}

Environment make_environment(const Config& config) {
  std::string job = config.required("job");
  std::optional<std::string> replay = config.maybe("as");
  if (!is_plain_name(job))
    throw Error(ErrorCode::kConfig,
                "a job's name may hold letters, digits, _, - and . only: " + job);
  if (replay && !is_plain_name(*replay))
    throw Error(ErrorCode::kConfig,
                "--as: a name may hold letters, digits, _, - and . only: " + *replay);
  std::optional<std::string> taken_over;
  if (const std::string text = config.text("take.over"); !text.empty()) {
    const std::string other = text.substr(0, text.find('/'));
    if (replay)
      throw Error(ErrorCode::kConfig,
                  "--as and --take-over exclude each other: a job takes over its own replay");
    if (config.text("restore") != "latest" || !config.text("hold.offsets").empty())
      throw Error(ErrorCode::kConfig,
                  "--take-over excludes --restore and --hold-offsets: it says where to begin");
    if (!other.starts_with(job + ".") || other.size() == job.size() + 1)
      throw Error(ErrorCode::kConfig, "--take-over names no replay of job " + job + ": " + other +
                                          "; a replay is called " + job + ".NAME");
    taken_over = other.substr(job.size() + 1);
  }
  if (!replay && !config.text("from.checkpoint").empty())
    throw Error(ErrorCode::kConfig,
                "--from-checkpoint is for a replay: give it a name with --as NAME");
  if (replay) job += "." + *replay;
  return {config, std::move(job), std::move(replay), std::move(taken_over)};
}

RestoreChoice restore_choice(const Config& config) {
  RestoreChoice choice;
  const std::string text = config.text("restore");
  choice.kind = text == "latest" ? RestoreChoice::Kind::kLatest
                : text == "none" ? RestoreChoice::Kind::kNone
                                 : RestoreChoice::Kind::kId;
  if (choice.kind == RestoreChoice::Kind::kId) choice.id = text;
  choice.accept_duplicates = config.boolean("accept.duplicates");
  choice.assume_committed = config.text("assume.committed");
  return choice;
}

// Prints the report; throws if an error is among the findings.
void run_checks(const Environment& env, bool print_all) {
  std::vector<Finding> findings;
  for (const auto& check : env.checks()) check(findings);
  if (print_all) validate_start(env, restore_choice(env.config()), findings);
  const Finding* worst = nullptr;
  for (const Finding& f : findings) {
    if (f.severity == Finding::Severity::kError && worst == nullptr) worst = &f;
    static constexpr const char* kNames[] = {"ok", "warning", "error"};
    if (print_all) std::printf("%-8s %s\n", kNames[static_cast<int>(f.severity)], f.text.c_str());
    if (!print_all && f.severity != Finding::Severity::kInfo) {
      log(f.severity == Finding::Severity::kError ? LogLevel::kError : LogLevel::kWarn, f.text);
    }
  }
  if (worst != nullptr) throw Error(worst->code, worst->text);
  if (print_all) std::printf("valid: no errors\n");
}

StateChanges state_changes(const Config& config) {
  StateChanges changes;
  changes.dropped = config.list("drop.state");
  for (const std::string& rename : config.list("rename.state")) {
    const std::size_t equals = rename.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == rename.size())
      throw Error(ErrorCode::kConfig, "--rename-state wants OLD=NEW: " + rename);
    changes.renamed.emplace_back(rename.substr(0, equals), rename.substr(equals + 1));
  }
  return changes;
}

// "JOB" or "JOB/ID", of the same checkpoint.dir.
std::optional<ForeignCheckpoint> foreign_checkpoint(const Config& config, const std::string& key) {
  const std::string text = config.text(key);
  if (text.empty()) return std::nullopt;
  ForeignCheckpoint from;
  from.job = text.substr(0, text.find('/'));
  if (from.job.size() < text.size()) from.id = text.substr(from.job.size() + 1);
  if (!is_plain_name(from.job) || (from.id.empty() && from.job.size() < text.size()) ||
      from.id.find('/') != std::string::npos)
    throw Error(ErrorCode::kConfig, Config::flag_of(key) + " wants JOB or JOB/CHECKPOINT: " + text);
  from.folder = std::filesystem::path(config.required("checkpoint.dir")) / from.job;
  return from;
}

SupervisorSettings supervisor_settings(const Environment& env) {
  const Config& config = env.config();
  SupervisorSettings s;
  s.job = env.job();
  s.checkpoint_folder = env.checkpoint_folder();
  s.parallelism = env.parallelism();
  s.key_groups = static_cast<std::uint32_t>(config.integer("key_groups", 1, 65536));
  s.checkpoint_interval = config.duration("checkpoint.interval");
  s.retained_checkpoints =
      static_cast<std::size_t>(config.integer("checkpoint.retained", 2, 1'000'000));
  s.max_restarts = static_cast<std::size_t>(config.integer("restart.limit", 0, 1'000'000));
  s.first_backoff = config.duration("restart.backoff");
  s.max_backoff = config.duration("restart.max_backoff");
  s.restore = restore_choice(config);
  s.state_changes = state_changes(config);
  s.backend = config.choice("state.backend", {"rocksdb", "memory"});
  s.hold = parse_offsets(config.text("hold.offsets"));
  s.take_over = foreign_checkpoint(config, "take.over");
  s.first_from = foreign_checkpoint(config, "from.checkpoint");
  for (const auto& step : env.after_take_over()) s.after_take_over.push_back(step);
  if (s.checkpoint_interval < Duration(10)) {
    throw Error(ErrorCode::kConfig,
                "checkpoint.interval must be at least 10ms: " + config.text("checkpoint.interval"));
  }
  return s;
}

std::filesystem::path state_folder(const Environment& env) {
  return env.config().has("state.dir") ? std::filesystem::path(env.config().required("state.dir"))
                                       : env.checkpoint_folder() / "working";
}

Deployment make_deployment(const Environment& env, const std::filesystem::path& state_folder) {
  Deployment deployment;
  BackendOptions options;
  options.dir = state_folder;
  options.memory = env.config().bytes("memory");
  const std::string kind = env.config().text("state.backend");
  const auto lenders = env.lenders();
  deployment.make_store = [options, kind,
                           lenders](Resources& resources) -> std::unique_ptr<SnapshotStore> {
    auto backend = make_backend(kind, options);
    resources.lend(*backend);
    resources.lend<BackPressure>(backend->budget());
    for (const auto& lend : lenders) lend(resources);
    return backend;
  };
  deployment.make_protocol =
      env.protocol()
          ? env.protocol()
          : [](Resources&, const CheckpointStorage& storage) -> std::unique_ptr<CommitProtocol> {
    return std::make_unique<ManifestCommit>(storage);
  };
  return deployment;
}

void note_ignored_flags(const Environment& env) {
  const Config& config = env.config();
  if (config.text("from.offsets").empty() && config.text("from.time").empty()) return;
  if (config.text("restore") == "none") return;
  const CheckpointStorage storage(env.checkpoint_folder(), CheckpointStorage::Access::kReadOnly);
  if (storage.list().empty()) return;
  log(LogLevel::kWarn,
      "--from-offsets and --from-time hold at a first start: ignored, the job goes on from its "
      "checkpoint");
}

int run_to_the_end(const Environment& env) {
  note_ignored_flags(env);
  MetricRegistry& metrics = env.metrics();
  const SystemClock clock;
  Supervisor supervisor(supervisor_settings(env), env.graph()->graph(),
                        make_deployment(env, state_folder(env)), metrics, clock);
  const StopSignals signals([&] { supervisor.request_stop(); },
                            env.config().duration("stop_timeout"));
  const Plan plan =
      make_plan(env.graph()->graph(), env.parallelism(), supervisor_settings(env).key_groups);
  JobView view(env, supervisor, plan, clock);
  JobApi api;
  view.add_to(api);
  const auto http = serve_job(env.config().text("http"), api);
  const auto control = serve_control(env.config().text("control"), api);
  if (http) log(LogLevel::kInfo, "page, metrics and health: http://" + http->address());
  std::optional<OtlpExporter> traces;
  if (const std::string endpoint = env.config().text("otlp.endpoint"); !endpoint.empty())
    traces.emplace(endpoint, env.job(), supervisor, metrics);
  Supervisor::Outcome outcome{};
  {
    const ProgressReporter progress(supervisor, env, clock);
    outcome = supervisor.run();
  }
  const JobTotals totals = totals_of(env);
  std::printf(
      "%s: %s  events %llu  rows %llu  late %llu  bad %llu\n", env.job().c_str(),
      outcome == Supervisor::Outcome::kFinished ? "finished" : "stopped",
      static_cast<unsigned long long>(totals.events), static_cast<unsigned long long>(totals.rows),
      static_cast<unsigned long long>(totals.late), static_cast<unsigned long long>(totals.bad));
  return 0;
}

// Beside the state of a real run, and gone afterwards; of a job that never ran elsewhere, so that
// no folder of it is made.
int run_dry(const Environment& env) {
  std::vector<Finding> findings;
  for (const auto& check : env.checks()) check(findings);
  const std::string name = "dry-start-" + std::to_string(::getpid());
  const bool has_run = std::filesystem::is_directory(env.checkpoint_folder());
  const std::filesystem::path folder =
      (has_run ? env.checkpoint_folder() : std::filesystem::temp_directory_path()) / name;
  return dry_start(env, supervisor_settings(env), make_deployment(env, folder), folder, findings);
}

// Until the job runs there is nothing to finish: a stop is the end.
void end_at_stop_signals() {
  for (const int signal : {SIGTERM, SIGINT}) std::signal(signal, [](int) { _exit(0); });
}

int run_checked(int argc, char** argv, const JobDefinition& definition) {
  const auto flags = parse_flags(argc, argv, definition.description);
  if (!flags) return 0;
  const Config config = read_config(*flags, definition);
  set_up_logging(config.text("log.level"), config.text("log.format"));
  for (const std::string& warning : config.misspelt()) log(LogLevel::kWarn, warning);
  if (flags->print_config) {
    std::printf("%s", config.print().c_str());
    return 0;
  }
  Environment env = make_environment(config);
  if (flags->list_checkpoints) return list_checkpoints(env.checkpoint_folder());
  if (flags->inspect) return inspect_checkpoint(env.checkpoint_folder(), *flags->inspect);
  definition.build(env);
  if (flags->explain) {
    const std::string format = *flags->explain;
    if (format != "text" && format != "dot" && format != "json")
      throw Error(ErrorCode::kConfig, "--explain is none of text, dot, json: " + format);
    const Plan plan =
        make_plan(env.graph()->graph(), env.parallelism(), supervisor_settings(env).key_groups);
    std::printf("%s", explain(plan, format == "dot"    ? ExplainFormat::kDot
                                    : format == "json" ? ExplainFormat::kJson
                                                       : ExplainFormat::kText)
                          .c_str());
    return 0;
  }
  if (flags->describe_state || flags->check_upgrade) {
    const SupervisorSettings settings = supervisor_settings(env);
    if (flags->check_upgrade)
      return check_upgrade(env, settings.state_changes, settings.backend, *flags->check_upgrade);
    if (*flags->describe_state != "json")
      throw Error(ErrorCode::kConfig, "--describe-state is not json: " + *flags->describe_state);
    return describe_state(env, settings.key_groups);
  }
  // Settings that make no sense and a plan that cannot be made are found before anything is
  // touched.
  (void)make_deployment(env, state_folder(env));
  (void)config.duration("stop_timeout");
  check_http_address(config.text("http"));
  check_control_path(config.text("control"));
  check_otlp_endpoint(config.text("otlp.endpoint"));
  (void)make_plan(env.graph()->graph(), env.parallelism(), supervisor_settings(env).key_groups);
  if (flags->dry_start) return run_dry(env);
  if (flags->transactions) return transaction_tool(env, *flags->transactions);
  if (!flags->validate) end_at_stop_signals();
  run_checks(env, flags->validate);
  if (flags->validate) return 0;
  return run_to_the_end(env);
}

void tell_error(const char* what) {
  if (logs_json()) {
    log(LogLevel::kError, what);
  } else {
    std::fprintf(stderr, "error: %s\n", what);
  }
}

}  // namespace

std::vector<ConfigKey> common_keys() {
  return {
      {"job", "",
       "the job's name: its checkpoints, consumer group and transactions are found by it"},
      {"parallelism", std::to_string(std::max(1U, std::thread::hardware_concurrency())),
       "number of worker threads"},
      {"key_groups", "128", "number of key groups; fixed at a job's first start"},
      {"memory", "256MiB", "budget of keyed state in memory; more spills to disk"},
      {"state.backend", "rocksdb", "rocksdb or memory"},
      {"state.dir", "", "working folder of the state store; default: beside the checkpoints"},
      {"checkpoint.dir", "data/checkpoints", "where checkpoints are kept"},
      {"checkpoint.interval", "1s", "time between checkpoints"},
      {"checkpoint.retained", "3", "committed checkpoints kept"},
      {"restart.limit", "10", "restarts in a row without a new checkpoint before giving up"},
      {"restart.backoff", "100ms", "pause before the first restart; doubles"},
      {"restart.max_backoff", "30s", "longest pause before a restart"},
      {"stop_timeout", "25s", "how long a clean stop may take"},
      {"restore", "latest", "latest, ID or none"},
      {"accept.duplicates", "", "allow a restore that repeats output"},
      {"accept.loss", "", "TOPIC:P,…: go on although records are gone"},
      {"assume.committed", "", "a checkpoint to vouch for when its commit record is missing"},
      {"drop.state", "", "state of operators that are gone, to be forgotten"},
      {"rename.state", "", "OLD=NEW,…: state that goes by another name now"},
      {"from.offsets", "", "start position at a first start"},
      {"from.time", "", "start time at a first start"},
      {"until.offsets", "", "stop position"},
      {"until.time", "", "stop time"},
      {"as", "", "name of an isolated replay"},
      {"from.checkpoint", "", "JOB[/ID]: a replay's first start begins with that state"},
      {"hold.offsets", "", "TOPIC:P=N,…: the sources stop before these without ending"},
      {"take.over", "", "JOB.NAME[/ID]: go on with the state of a replay, then end"},
      {"rate", "", "limit of the sources: 50MB/s or 20000/s"},
      {"http", "127.0.0.1:8081", "address of the page, metrics and health, or none"},
      {"control", "", "path of the Unix socket by which this job is controlled"},
      {"otlp.endpoint", "",
       "http://HOST:4318 of an OpenTelemetry collector that takes traces of checkpoints"},
      {"log.level", "info", "debug, info, warn or error"},
      {"log.format", "text", "text or json"},
  };
}

int run_job(int argc, char** argv, const JobDefinition& definition) {
  try {
    return run_checked(argc, argv, definition);
  } catch (const Error& e) {
    tell_error(e.what());
    return exit_code(e.code());
  } catch (const std::exception& e) {
    tell_error(e.what());
    return 1;
  }
}

}  // namespace tidemill
