// What a job says: passed on from its process, or read from its folder where that is enough.
#include <chrono>

#include "app/job_api.h"
#include "engine/base/error.h"
#include "service/server/effective_config.h"
#include "service/server/job_json.h"
#include "service/server/routes.h"
#include "service/tools/state_tools.h"

namespace tidemill::server {
namespace json = boost::json;
namespace {

constexpr auto kEventInterval = std::chrono::seconds(1);

// "/api/v1/jobs/NAME/graph" of the server is "/api/v1/graph" of the job.
JobQuestion question_of(const Call& call) {
  const std::string prefix = "/api/v1/jobs/" + call.job() + "/";
  const std::string rest = call.request.path.substr(prefix.size());
  return {"GET", rest == "metrics" ? "/metrics" : "/api/v1/" + rest, call.request.query};
}

http::Response ask(const Service& service, const JobView& view, const Call& call) {
  if (!view.run)
    throw CallError(409, "no process of the job runs that could answer; its state is " + view.state,
                    "start it; status, config, checkpoints and logs are there all the same");
  try {
    return passed_on(service.fleet.ask(view.row.name, question_of(call)));
  } catch (const Error& error) {
    throw CallError(503,
                    "the job's process does not answer on its control socket: " + view.row.name +
                        ": " + error.what(),
                    "it may be starting; look at its status and logs");
  }
}

// "running", "latest" or a checkpoint's id.
std::string state_source(const JobView& view, const Call& call) {
  const auto from = call.request.query.find("from");
  if (from == call.request.query.end() || from->second.empty())
    return view.run ? "running" : "latest";
  return from->second == "checkpoint" ? "latest" : from->second;
}

tools::OpenedCheckpoint opened(const JobView& view, const std::string& from) {
  try {
    return tools::OpenedCheckpoint(view.checkpoint_folder, from);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kConfig) throw;
    throw CallError(404,
                    "there is no such checkpoint of " + view.row.name + ": " + from.substr(0, 100),
                    "GET checkpoints lists its restore_points");
  }
}

json::value graph_of(const Service& service, const std::string& name) {
  try {
    const JobAnswer answer = service.fleet.ask(name, {"GET", "/api/v1/graph"});
    if (answer.status != 200) return nullptr;
    return json::parse(answer.body);
  } catch (const std::exception&) {
    return nullptr;
  }
}

}  // namespace

namespace calls {

http::Response job_status(Service& service, const Call& call) {
  return json_answer(status_json(viewed_job(service, call)));
}

http::Response job_config(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  if (view.run) return ask(service, view, call);
  json::array settings;
  for (const Setting& setting :
       parse_settings(service.store.version(view.row.name, view.row.version).effective))
    settings.push_back(
        json::object{{"key", setting.key}, {"value", setting.value}, {"source", setting.source}});
  return json_answer(json::object{{"settings", std::move(settings)}});
}

http::Response job_checkpoints(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  if (view.run) return ask(service, view, call);
  return json_answer(json::object{{"history", json::array()},
                                  {"restore_points", restore_points_of(view.checkpoint_folder)}});
}

http::Response job_logs(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  const auto count = static_cast<std::size_t>(call.query_number("lines", 200, 1, 2000));
  json::array lines;
  for (const std::string& line : last_lines(service.fleet.folder().job(view.row.name).log(), count))
    lines.emplace_back(line);
  return json_answer(json::object{{"lines", std::move(lines)}});
}

http::Response job_events(Service& service, const Call& call) {
  const std::string name = viewed_job(service, call).row.name;
  http::Response response;
  response.content_type = "text/event-stream";
  response.headers.emplace_back("Cache-Control", "no-store");
  http::EventStream events;
  events.every = kEventInterval;
  events.next = [&service, name]() -> std::string {
    const auto view = service.fleet.view(name);
    if (!view) return "";
    return json::serialize(
        json::object{{"status", status_json(*view)},
                     {"graph", view->run ? graph_of(service, name) : json::value(nullptr)}});
  };
  response.events = std::move(events);
  return response;
}

// Of the running job if nothing else is asked for; else what its folder has.
http::Response job_state(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  const std::string from = state_source(view, call);
  if (from == "running") return ask(service, view, call);
  return json_response(tools::states_json(opened(view, from), false));
}

http::Response job_state_of_key(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  const std::string from = state_source(view, call);
  if (from == "running") return ask(service, view, call);
  const auto needed = [&](const char* name) {
    const auto found = call.request.query.find(name);
    if (found == call.request.query.end() || found->second.empty())
      throw CallError(422,
                      "the query needs operator=, state= and key=; missing: " + std::string(name),
                      "GET state lists operators and states");
    return found->second;
  };
  const StateName name{needed("operator"), needed("state")};
  const std::string key = needed("key");
  return json_response(tools::key_json(opened(view, from), name, key));
}

http::Response pass_on(Service& service, const Call& call) {
  return ask(service, viewed_job(service, call), call);
}

}  // namespace calls
}  // namespace tidemill::server
