// What jobs there are: list, submit, look at, remove, replay.
#include <algorithm>
#include <filesystem>
#include <limits>
#include <unistd.h>

#include "app/config.h"
#include "engine/base/error.h"
#include "engine/base/files.h"
#include "service/server/effective_config.h"
#include "service/server/job_json.h"
#include "service/server/promotions.h"
#include "service/server/routes.h"

namespace tidemill::server {
namespace json = boost::json;
namespace {

// sockaddr_un has room for 107 characters.
constexpr std::size_t kMaxSocketPath = 107;
constexpr std::size_t kRunsShown = 50;

std::string flag_of(const std::string& argument) { return argument.substr(0, argument.find('=')); }

// What the server says itself, what only prints something, and what may hold for one start only.
void check_args(const std::vector<std::string>& args) {
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string flag = flag_of(args[i]);
    for (const char* own : {"--config", "--control", "--as", "--print-config", "--validate",
                            "--explain", "--describe-state", "--check-upgrade",
                            "--list-checkpoints", "--inspect", "--help", "-h", "--version"}) {
      if (flag == own)
        throw CallError(422,
                        "args may not have " + flag.substr(0, 100) +
                            ": the server gives what a job needs of it",
                        "leave it out");
    }
    for (const char* once :
         {"--restore", "--accept-duplicates", "--assume-committed", "--accept-loss"}) {
      if (flag == once)
        throw CallError(
            422,
            "args may not have " + flag + ", which would hold at each restart and repeat output",
            "give it as once: [\"" + flag + "\", ...], which holds for the next start only");
    }
    const std::string setting =
        flag == "--set" ? (args[i] == flag && i + 1 < args.size()
                               ? args[i + 1]
                               : args[i].substr(std::min(args[i].size(), flag.size() + 1)))
                        : "";
    const std::size_t equals = setting.find('=');
    if (equals != std::string::npos &&
        holds_secret(setting.substr(0, equals), setting.substr(equals + 1)))
      throw CallError(422,
                      "args may not hold a password, which everybody on the machine would see: " +
                          setting.substr(0, equals).substr(0, 100),
                      "put it into config");
    for (const char* own : {"job=", "control=", "as=", "restore=", "accept.", "assume."}) {
      if (setting.starts_with(own))
        throw CallError(422,
                        "args may not set " + setting.substr(0, setting.find('=')).substr(0, 100),
                        "leave it out; once: [...] takes what holds for one start");
    }
  }
}

std::vector<std::string> once_args_of(Body& body) {
  std::vector<std::string> once = body.maybe_texts("once").value_or(std::vector<std::string>{});
  check_once_args(once);
  if (const auto restore = body.maybe_text("restore")) {
    once.push_back("--restore=" + *restore);
  }
  if (body.boolean("accept_duplicates", false)) once.emplace_back("--accept-duplicates");
  return once;
}

json::object version_json(const Version& version, Role role) {
  json::array args;
  for (const std::string& arg : version.args) args.emplace_back(arg);
  return {{"number", version.number},
          {"binary", version.binary},
          {"args", args},
          // As it was sent, passwords too: for those who may send it.
          {"config", role == Role::kAdmin ? json::value(version.config) : json::value(nullptr)},
          {"memory_limit", version.memory_limit},
          {"user", version.user.empty() ? json::value(nullptr) : json::value(version.user)},
          {"created_ms", version.created_ms},
          {"created_by", version.created_by}};
}

// The id of a restore point of the job, by id or number.
std::string restore_point_of(const JobView& job, const std::string& name) {
  for (const json::value& point : restore_points_of(job.checkpoint_folder)) {
    const json::object& one = point.get_object();
    std::string id(one.at("id").get_string());
    if (id == name || json::serialize(one.at("seq")) == name) return id;
  }
  throw CallError(404, "there is no checkpoint " + name.substr(0, 100) + " of " + job.row.name,
                  "GET checkpoints lists its restore_points");
}

// Stores a new job with its first version, of the caller, and lets the fleet have it.
http::Response add_job(Service& service, const Caller& caller, JobRow row, Version version) {
  const std::string name = row.name;
  if (!is_job_name(name))
    throw CallError(
        422,
        "a job's name has 1 to 64 letters, digits, _, - and ., and does not begin with a point",
        "give another name");
  if (service.fleet.view(name))
    throw CallError(409, "there is a job of this name: " + name,
                    "restart it with another binary, or give another name");
  const JobFolder folder = service.fleet.folder().job(name);
  if (folder.control_socket().string().size() > kMaxSocketPath)
    throw CallError(422,
                    "the job's name is too long for the path of its control socket: " +
                        folder.control_socket().string(),
                    "give a shorter name, or the server a shorter --dir");
  row.created_ms = now_ms();
  version.created_by = caller.name;
  version = checked_version(service, row, std::move(version));
  try {
    service.store.add_job(row, version);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kRefused) throw;
    throw CallError(409, "there is a job of this name: " + name, "give another name");
  }
  service.fleet.add(name);
  return json_answer(summary_json(view_of(service, name)), 201);
}

}  // namespace

void check_once_args(const std::vector<std::string>& args) {
  for (const std::string& arg : args) {
    bool is_known = arg == "--accept-duplicates";
    for (const char* known : {"--restore=", "--accept-loss=", "--assume-committed=",
                              "--drop-state=", "--rename-state="})
      is_known = is_known || (arg.starts_with(known) && arg != known);
    if (!is_known)
      throw CallError(
          422,
          "once takes flags that hold for one start, as one word each, not " + arg.substr(0, 100),
          "--restore=ID, --accept-duplicates, --accept-loss=T:P, --assume-committed=ID, "
          "--drop-state=NAME, "
          "--rename-state=OLD=NEW; other flags are args of a restart");
  }
}

Version checked_version(const Service& service, const JobRow& job, Version wanted,
                        UpgradeQuestion* upgrade) {
  check_args(wanted.args);
  if (!is_sha256(wanted.binary))
    throw CallError(422, "binary is no SHA-256 of 64 lower-case hexadecimal digits",
                    "PUT the binary to /api/v1/binaries, whose answer has it");
  if (!service.binaries.has(wanted.binary))
    throw CallError(404, "there is no binary " + wanted.binary, "PUT it to /api/v1/binaries first");
  if (!service.binaries.is_allowed(wanted.binary))
    throw CallError(403, "this binary is not on the server's allow-list: " + wanted.binary,
                    "have it added to the list");
  if (!wanted.user.empty() && ::geteuid() != 0)
    throw CallError(422, "the server does not run as root and cannot start jobs as another user",
                    "leave user out");
  const ServerFolder& server = service.fleet.folder();
  const JobFolder folder = server.job(job.name);
  make_job_folder(folder, wanted.user);
  // A name of its own: the running process has config.yaml.
  const std::filesystem::path config = folder.path / "submitted.yaml";
  write_private(config, wanted.config, wanted.user);
  const std::string base = job.replay_of.empty() ? job.name : job.replay_of;
  const std::string replay = job.replay_of.empty() ? "" : job.name.substr(job.replay_of.size() + 1);
  std::optional<CheckedConfig> checked;
  std::string refused;
  std::string no_answer;
  ConfigQuestion question{service.fleet.settings().program,
                          server.binary(wanted.binary),
                          server.work(job.name, job.replay_of),
                          config,
                          wanted.user,
                          wanted.args,
                          base,
                          replay};
  try {
    checked = check_config(question);
  } catch (const Error& error) {
    refused = error.what();
  }
  if (checked && upgrade != nullptr && !newest_checkpoint(checked->checkpoint_folder).empty()) {
    question.args.insert(question.args.end(), upgrade->once.begin(), upgrade->once.end());
    try {
      if (const auto told = check_upgrade(question, upgrade->checkpoint))
        upgrade->answer = json::parse(*told).as_object();
    } catch (const std::exception& error) {
      no_answer = error.what();
    }
  }
  std::error_code ignored;
  std::filesystem::remove(config, ignored);
  if (!checked) {
    // If they are empty: the job was never there.
    for (const auto& made : {folder.work(), folder.log_folder(), folder.path})
      std::filesystem::remove(made, ignored);
    throw CallError(422, refused, "mend the settings, arguments or binary and send them again");
  }
  if (!no_answer.empty())
    throw CallError(409, no_answer, "nothing was changed; is the binary a Tidemill job?");
  wanted.effective = checked->printed;
  wanted.checkpoint_folder = checked->checkpoint_folder.string();
  wanted.created_ms = now_ms();
  return wanted;
}

namespace calls {

http::Response list_jobs(Service& service, const Call&) {
  json::array jobs;
  for (const JobView& view : service.fleet.views()) jobs.push_back(summary_json(view));
  return json_answer(json::object{{"jobs", std::move(jobs)}});
}

http::Response submit_job(Service& service, const Call& call) {
  Body body(call.request);
  JobRow row;
  Version version;
  row.name = body.text("name");
  version.binary = body.text("binary");
  version.config = body.text("config");
  version.args = body.maybe_texts("args").value_or(std::vector<std::string>{});
  version.memory_limit = body.maybe_bytes("memory_limit").value_or(0);
  version.user = body.maybe_text("user").value_or("");
  row.desired_running = body.boolean("start", true);
  row.once_args = once_args_of(body);
  body.finish();
  return add_job(service, call.caller, std::move(row), std::move(version));
}

http::Response start_replay(Service& service, const Call& call) {
  const JobView live = viewed_job(service, call);
  if (!live.row.replay_of.empty())
    throw CallError(409, "this job is a replay itself, of " + live.row.replay_of,
                    "replay that job");
  Body body(call.request);
  JobRow row;
  const std::string name = body.text("name");
  row.name = live.row.name + "." + name;
  row.replay_of = live.row.name;
  row.desired_running = true;
  const auto number = body.maybe_integer("version", 1, std::numeric_limits<std::int32_t>::max());
  Version version = service.store.version(live.row.name, number.value_or(live.row.version));
  const auto binary = body.maybe_text("binary");
  const auto config = body.maybe_text("config");
  if ((binary || config) && call.caller.role < Role::kAdmin)
    throw CallError(403, "a replay with another binary or other settings needs the role admin",
                    "leave them out, or use an admin's token");
  version.binary = binary.value_or(version.binary);
  version.config = config.value_or(version.config);
  for (const auto& [member, flag] :
       {std::pair{"from_time", "--from-time"}, std::pair{"until_time", "--until-time"},
        std::pair{"from_offsets", "--from-offsets"}, std::pair{"until_offsets", "--until-offsets"},
        std::pair{"rate", "--rate"}}) {
    if (const auto value = body.maybe_text(member))
      version.args.insert(version.args.end(), {flag, *value});
  }
  if (const auto restore = body.maybe_text("restore"))
    version.args.insert(
        version.args.end(),
        {"--from-checkpoint", live.row.name + "/" + restore_point_of(live, *restore)});
  if (const auto args = body.maybe_texts("args")) {
    if (call.caller.role < Role::kAdmin)
      throw CallError(403, "a replay with other arguments needs the role admin",
                      "leave args out, or use an admin's token");
    version.args.insert(version.args.end(), args->begin(), args->end());
  }
  body.finish();
  if (!is_job_name(name))
    throw CallError(422, "a replay's name has letters, digits, _, - and . only",
                    "give another name");
  return add_job(service, call.caller, std::move(row), std::move(version));
}

http::Response get_job(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  json::object job = summary_json(view);
  job["created_ms"] = view.row.created_ms;
  job["version"] = view.row.version;
  job["checkpoint_folder"] = view.checkpoint_folder;
  json::array versions;
  for (const Version& version : service.store.versions(view.row.name))
    versions.push_back(version_json(version, call.caller.role));
  job["versions"] = std::move(versions);
  json::array runs;
  for (const Run& run : service.store.runs(view.row.name, kRunsShown))
    runs.push_back(run_json(run));
  job["runs"] = std::move(runs);
  return json_answer(job);
}

http::Response delete_job(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  Body(call.request).finish();
  service.promotions->refuse_while_promoted(view.row.name);
  for (const JobView& other : service.fleet.views()) {
    if (other.row.replay_of == view.row.name)
      throw CallError(409, "the job has a replay: " + other.row.name, "delete that first");
  }
  service.fleet.remove(view.row.name);
  return json_answer(
      json::object{{"name", view.row.name}, {"folder", service.fleet.folder().removed().string()}});
}

}  // namespace calls
}  // namespace tidemill::server
