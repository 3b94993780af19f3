// A job's life: start, stop in four ways, restart, restore, savepoints.
#include <algorithm>
#include <csignal>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "service/server/job_json.h"
#include "service/server/promotions.h"
#include "service/server/routes.h"

namespace tidemill::server {
namespace json = boost::json;
namespace {

// A savepoint is answered when it is committed.
constexpr auto kSavepointTime = std::chrono::seconds(60);

http::Response now_is(const Service& service, const std::string& name, int status = 202) {
  return json_answer(summary_json(view_of(service, name)), status);
}

CallError unreachable(const JobView& view, const std::string& what) {
  return {503,
          "the job's process does not answer on its control socket: " + view.row.name + ": " + what,
          "look at its status and logs; cancel ends it in any case, and the last commit stands"};
}

// Stops in a way that only the process itself knows. `mode`: savepoint, drain, checkpoint, cancel.
http::Response stop(Service& service, const JobView& view, const std::string& mode) {
  const std::string& name = view.row.name;
  const auto set_desired = [&](bool running) {
    service.fleet.change(name, false, [&](const JobView&) {
      service.store.set_desired(name, running);
      if (!running) service.store.set_replaced_run(name, 0);
    });
  };
  if (!view.run || view.run->pid == 0) {
    if (mode == "savepoint" || mode == "drain")
      throw CallError(409,
                      "no process of the job runs that could " +
                          std::string(mode == "drain" ? "drain" : "make a savepoint") +
                          "; its state is " + view.state,
                      "stop it with {\"mode\": \"checkpoint\"}: its last checkpoint stands");
    set_desired(false);
    return now_is(service, name, 200);
  }
  // First what is wanted, so that the end of the process is no reason to start it again.
  service.fleet.note_stop_sent(name, true);
  set_desired(false);
  try {
    const JobAnswer answer = service.fleet.ask(
        name,
        {"POST",
         "/api/v1/stop",
         {},
         json::serialize(json::object{{"mode", mode}}),
         mode == "savepoint" ? std::chrono::milliseconds(kSavepointTime) : JobQuestion{}.time});
    if (answer.status < 300) return mode == "savepoint" ? passed_on(answer) : now_is(service, name);
    if (mode == "savepoint" || mode == "drain") {
      service.fleet.note_stop_sent(name, false);
      set_desired(view.row.desired_running);
      return passed_on(answer);
    }
  } catch (const Error& error) {
    if (mode == "savepoint" || mode == "drain") {
      // It may have heard it: if it ends now, it is not started again.
      if (view_of(service, name).run) {
        service.fleet.note_stop_sent(name, false);
        set_desired(view.row.desired_running);
      }
      throw unreachable(view, error.what());
    }
  }
  service.fleet.signal(name, mode == "cancel" ? SIGKILL : SIGTERM);
  return now_is(service, name);
}

// The process is to end, and one with what the store has now to follow.
void replace(Service& service, const std::string& name, const std::function<void()>& change) {
  service.fleet.change(name, true, [&](const JobView& view) {
    change();
    service.store.set_replaced_run(name, view.run ? view.run->id : 0);
    service.store.set_desired(name, true);
  });
}

std::vector<std::string> with_parallelism(const std::vector<std::string>& args,
                                          std::int64_t parallelism) {
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--parallelism") {
      ++i;
    } else if (!args[i].starts_with("--parallelism=")) {
      kept.push_back(args[i]);
    }
  }
  kept.insert(kept.end(), {"--parallelism", std::to_string(parallelism)});
  return kept;
}

}  // namespace

namespace calls {

http::Response start_job(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  service.promotions->refuse_during_hand_over(view.row.name);
  Body body(call.request);
  const std::vector<std::string> once =
      body.maybe_texts("once").value_or(std::vector<std::string>{});
  body.finish();
  check_once_args(once);
  if (view.run) {
    if (!view.row.desired_running)
      throw CallError(409, "the job is still stopping: " + view.row.name,
                      "start it when its state is stopped");
    if (!once.empty())
      throw CallError(409, "the job runs: what holds for one start has none to hold for",
                      "restart it with once");
    return now_is(service, view.row.name, 200);
  }
  service.fleet.change(view.row.name, true, [&](const JobView&) {
    if (!once.empty())
      service.store.set_once(view.row.name, once, newest_checkpoint(view.checkpoint_folder));
    service.store.set_desired(view.row.name, true);
  });
  return now_is(service, view.row.name);
}

http::Response stop_job(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  service.promotions->refuse_during_hand_over(view.row.name);
  Body body(call.request);
  const std::string mode = body.maybe_text("mode").value_or("checkpoint");
  body.finish();
  if (mode != "checkpoint" && mode != "savepoint")
    throw CallError(422, "in the body, mode is neither checkpoint nor savepoint",
                    "drain and cancel are calls of their own");
  return stop(service, view, mode);
}

http::Response cancel_job(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  service.promotions->refuse_during_hand_over(view.row.name);
  Body(call.request).finish();
  return stop(service, view, "cancel");
}

http::Response drain_job(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  service.promotions->refuse_during_hand_over(view.row.name);
  Body(call.request).finish();
  return stop(service, view, "drain");
}

http::Response savepoint_job(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  Body(call.request).finish();
  if (!view.run)
    throw CallError(
        409, "no process of the job runs that could make a savepoint; its state is " + view.state,
        "start it first");
  try {
    return passed_on(
        service.fleet.ask(view.row.name, {"POST", "/api/v1/savepoint", {}, "{}", kSavepointTime}));
  } catch (const Error& error) {
    throw unreachable(view, error.what());
  }
}

http::Response delete_savepoint(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  Body(call.request).finish();
  if (!view.run)
    throw CallError(
        409,
        "no process of the job runs that could delete its savepoint; its state is " + view.state,
        "start it first");
  try {
    return passed_on(
        service.fleet.ask(view.row.name, {"DELETE", "/api/v1/savepoints/" + call.path.at("id")}));
  } catch (const Error& error) {
    throw unreachable(view, error.what());
  }
}

// Whether a version can go on from a checkpoint, as its start would find.
http::Response check_upgrade(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  Body body(call.request);
  const auto binary = body.maybe_text("binary");
  const auto config = body.maybe_text("config");
  UpgradeQuestion question;
  question.checkpoint = body.maybe_text("from").value_or("latest");
  question.once = body.maybe_texts("once").value_or(std::vector<std::string>{});
  body.finish();
  check_once_args(question.once);
  if (config && call.caller.role < Role::kAdmin)
    throw CallError(403, "other settings than the job's need the role admin",
                    "leave config out, or use an admin's token");
  if (question.checkpoint.find('/') != std::string::npos)
    throw CallError(422, "from is latest or the id of a checkpoint of this job",
                    "GET checkpoints lists its restore_points");
  Version version = service.store.version(view.row.name, view.row.version);
  version.binary = binary.value_or(version.binary);
  version.config = config.value_or(version.config);
  version = checked_version(service, view.row, std::move(version), &question);
  if (!question.answer)
    throw CallError(409,
                    newest_checkpoint(version.checkpoint_folder).empty()
                        ? "there is no checkpoint to go on from in " + version.checkpoint_folder
                        : "this binary is of a version that cannot be asked (--check-upgrade)",
                    "a start with it would tell; it refuses what does not fit and changes nothing");
  return json_answer(*question.answer);
}

http::Response restart_job(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  service.promotions->refuse_during_hand_over(view.row.name);
  Body body(call.request);
  const auto parallelism = body.maybe_integer("parallelism", 1, 65'536);
  const auto binary = body.maybe_text("binary");
  const auto config = body.maybe_text("config");
  const auto args = body.maybe_texts("args");
  const auto memory_limit = body.maybe_bytes("memory_limit");
  const std::vector<std::string> once =
      body.maybe_texts("once").value_or(std::vector<std::string>{});
  body.finish();
  check_once_args(once);
  if ((binary || config || args || memory_limit) && call.caller.role < Role::kAdmin)
    throw CallError(
        403, "a restart with another binary, settings, arguments or limit needs the role admin",
        "leave them out, or use an admin's token");
  std::optional<Version> changed;
  if (parallelism || binary || config || args || memory_limit) {
    Version version = service.store.version(view.row.name, view.row.version);
    version.binary = binary.value_or(version.binary);
    version.config = config.value_or(version.config);
    version.args = args.value_or(version.args);
    version.memory_limit = memory_limit.value_or(version.memory_limit);
    if (parallelism) version.args = with_parallelism(version.args, *parallelism);
    version.created_by = call.caller.name;
    // Asked first, so that the job goes on as it is when the answer is no.
    UpgradeQuestion upgrade;
    upgrade.once = once;
    for (const std::string& flag : once) {
      if (flag.starts_with("--restore=")) upgrade.checkpoint = flag.substr(10);
    }
    const bool may_differ = (binary || config || args) && upgrade.checkpoint != "none";
    changed =
        checked_version(service, view.row, std::move(version), may_differ ? &upgrade : nullptr);
    if (upgrade.answer && !upgrade.answer->at("fits").as_bool())
      throw CallError(409,
                      "the job goes on as it is; it could not with this version: " +
                          std::string(upgrade.answer->at("reason").as_string()),
                      "tidemill check-upgrade says what becomes of each state; once: "
                      "[\"--drop-state=NAME\"] or [\"--rename-state=OLD=NEW\"] says what is to");
  }
  replace(service, view.row.name, [&] {
    if (changed) service.store.add_version(view.row.name, *changed);
    if (!once.empty())
      service.store.set_once(view.row.name, once, newest_checkpoint(view.checkpoint_folder));
  });
  return now_is(service, view.row.name);
}

http::Response restore_job(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  service.promotions->refuse_during_hand_over(view.row.name);
  Body body(call.request);
  const std::string from = body.text("from");
  const bool accepts = body.boolean("accept_duplicates", false);
  body.finish();
  const json::array points = restore_points_of(view.checkpoint_folder);
  const json::object* chosen = nullptr;
  for (const json::value& point : points) {
    const json::object& candidate = point.get_object();
    if (candidate.at("id").get_string() == from || json::serialize(candidate.at("seq")) == from)
      chosen = &candidate;
  }
  if (from != "none" && chosen == nullptr)
    throw CallError(404, "there is no checkpoint " + from.substr(0, 100) + " of " + view.row.name,
                    "GET checkpoints lists its restore_points");
  const std::string newest =
      points.empty() ? "" : std::string(points.front().get_object().at("id").get_string());
  const std::string id = chosen != nullptr ? std::string(chosen->at("id").get_string()) : "none";
  const bool repeats = id != newest && !newest.empty();
  if (repeats && !accepts) {
    throw CallError(409,
                    (id == "none" ? "beginning from nothing"
                                  : "checkpoint " + id + " is not the newest one, which is " +
                                        newest + ": restoring it") +
                        " reads again what came after, and every row that was written since is "
                        "written again: consumers of Kafka topics "
                        "and of exactly-once files see these rows twice (files that later "
                        "checkpoints published are renamed and replaced); "
                        "in Redis keys go back to older values until their next row",
                    "if that is what you want, say accept_duplicates: true; to look at the past "
                    "beside the running job, start a replay instead");
  }
  std::vector<std::string> once = {"--restore=" + id};
  if (accepts) once.emplace_back("--accept-duplicates");
  replace(service, view.row.name, [&] { service.store.set_once(view.row.name, once, newest); });
  log(LogLevel::kWarn, "job " + view.row.name + ": restored from " + id + " because " +
                           call.caller.name + " said so");
  return now_is(service, view.row.name);
}

}  // namespace calls
}  // namespace tidemill::server
