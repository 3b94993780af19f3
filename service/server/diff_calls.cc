// What a replay put out beside what its job did, and what Redis serves beside what the job has
// committed. Rows are read by a process of its own, as the job's user: however much there is, the
// server's memory is not concerned.
#include <atomic>
#include <limits>

#include <yaml-cpp/yaml.h>

#include "engine/base/error.h"
#include "service/server/effective_config.h"
#include "service/server/job_json.h"
#include "service/server/log_writer.h"
#include "service/server/process.h"
#include "service/server/routes.h"

namespace tidemill::server {
namespace json = boost::json;
namespace {

constexpr auto kComparisonTime = std::chrono::minutes(5);
constexpr auto kPatience = std::chrono::seconds(100);  // twice, within that time
constexpr int kMostAtOnce = 2;

// Effective settings hide a password within an address; the text that was sent has it.
std::string redis_url_in(const std::string& config) {
  try {
    const YAML::Node sinks = YAML::Load(config)["sinks"];
    if (sinks && sinks.IsMap() && sinks["redis"] && sinks["redis"].IsMap() && sinks["redis"]["url"])
      return sinks["redis"]["url"].as<std::string>();
  } catch (const YAML::Exception&) {
  }
  return "";
}

json::object settings_json(const Version& version) {
  json::object all;
  for (const Setting& setting : parse_settings(version.effective)) all[setting.key] = setting.value;
  const json::value* url = all.if_contains("sinks.redis.url");
  if (url != nullptr && url->as_string().find("***") != json::string::npos)
    all["sinks.redis.url"] = redis_url_in(version.config);
  return all;
}

// Gives its place back at the end.
class Place {
 public:
  Place() : is_free_(++taken() <= kMostAtOnce) {}
  ~Place() { --taken(); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  [[nodiscard]] bool is_free() const { return is_free_; }

 private:
  static std::atomic<int>& taken() {
    static std::atomic<int> count{0};
    return count;
  }
  const bool is_free_;
};

// What a verb of this program, which takes a file, answers to a question about the job's outputs.
http::Response ask_about_outputs(Service& service, const JobRow& job, const Version& version,
                                 const std::string& verb, const json::object& question,
                                 const std::string& section) {
  const Place place;
  if (!place.is_free())
    throw CallError(429, "other comparisons are under way", "try again when they are done");
  const ServerFolder& server = service.fleet.folder();
  static std::atomic<std::uint64_t> number{0};
  const std::filesystem::path file =
      server.job(job.name).path / (verb + "-" + std::to_string(++number) + ".json");
  write_private(file, json::serialize(question), version.user);
  const std::string program = service.fleet.settings().program.string();
  const Told told = ask_program(program, version.user, server.work(job.name, job.replay_of),
                                {program, verb, file.string()}, kComparisonTime);
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  if (told.exit == 0)
    return passed_on({200, "application/json", told.out});  // its numbers as they are
  LastWords words;
  words.add(told.err);
  const std::string why = words.cause(false);
  throw CallError(told.exit == exit_code(ErrorCode::kRefused)  ? 409
                  : told.exit == exit_code(ErrorCode::kConfig) ? 422
                                                               : 503,
                  told.exit < 0 ? "the outputs were not compared within 5 minutes"
                  : why.empty() ? "the outputs could not be compared"
                                : why,
                  "see docs/operations.md, \"" + section + "\"");
}

}  // namespace

namespace calls {

http::Response diff_job(Service& service, const Call& call) {
  const JobView job = viewed_job(service, call);
  const auto query = [&](const char* name) {
    const auto found = call.request.query.find(name);
    return found == call.request.query.end() ? std::string() : found->second;
  };
  const std::string name = query("replay");
  const std::string output = query("output");
  const std::int64_t show = call.query_number("show", 20, 0, 1000);
  if (name.empty())
    throw CallError(422, "in the query, replay is missing",
                    "give one of the job's replays: "
                    "replay=" +
                        job.row.name + ".NAME");
  if (!output.empty() && output != "kafka" && output != "file" && output != "redis")
    throw CallError(422, "in the query, output is none of kafka, file, redis", "leave it out");
  const JobView replay = view_of(service, name);
  if (replay.row.replay_of != job.row.name)
    throw CallError(422, name.substr(0, 100) + " is no replay of " + job.row.name,
                    "name one of its replays, " + job.row.name + ".NAME");
  const Version live = service.store.version(job.row.name, job.row.version);
  const Version other = service.store.version(name, replay.row.version);
  return ask_about_outputs(service, job.row, live, "compare-outputs",
                           {{"live", settings_json(live)},
                            {"replay", settings_json(other)},
                            {"name", name.substr(job.row.name.size() + 1)},
                            {"output", output},
                            {"show", show}},
                           "Compare a replay");
}

http::Response verify_job(Service& service, const Call& call) {
  const JobView job = viewed_job(service, call);
  const std::int64_t sample = call.query_number("sample", 1000, 1, 100'000);
  const std::int64_t seed =
      call.query_number("seed", 0, 0, std::numeric_limits<std::int64_t>::max());
  const std::int64_t show = call.query_number("show", 20, 0, 1000);
  const Version version = service.store.version(job.row.name, job.row.version);
  const std::string& of = job.row.replay_of;
  // Also one that has just died and is started again.
  const bool goes_on = job.run.has_value() || (job.row.desired_running && job.state != "failed");
  return ask_about_outputs(service, job.row, version, "verify-outputs",
                           {{"settings", settings_json(version)},
                            {"replay", of.empty() ? "" : job.row.name.substr(of.size() + 1)},
                            {"is_running", goes_on},
                            {"checkpoints", job.checkpoint_folder},
                            {"patience_ms", std::chrono::milliseconds(kPatience).count()},
                            {"since_ms", job.row.created_ms},
                            {"sample", sample},
                            {"seed", seed},
                            {"show", show}},
                           "Is Redis right?");
}

}  // namespace calls
}  // namespace tidemill::server
