#include "service/server/job_json.h"

#include "app/checkpoint_tools.h"
#include "app/job_api.h"

namespace tidemill::server {
namespace json = boost::json;
namespace {

// Its last end, while that is what keeps it from running.
json::value reason_of(const JobView& view) {
  if (!view.last || view.last->reason.empty()) return nullptr;
  const bool explains = view.state == "failed" || view.state == "crash_loop" ||
                        view.state == "backing_off" || view.state == "stopped" ||
                        view.state == "starting";
  return explains ? json::value(view.last->reason) : json::value(nullptr);
}

}  // namespace

json::array problems_json(const std::vector<Problem>& problems) {
  json::array all;
  for (const Problem& p : problems)
    all.push_back(json::object{{"id", p.id},
                               {"severity", p.severity},
                               {"text", p.text},
                               {"next", p.next},
                               {"since_ms", or_null(p.since_ms)}});
  return all;
}

json::object summary_json(const JobView& view) {
  const JobStatus none;
  const JobStatus& status = view.status ? *view.status : none;
  return {
      {"name", view.row.name},
      {"desired", view.row.desired_running ? "running" : "stopped"},
      {"state", view.state},
      {"since_ms", view.since_ms},
      {"pid", view.run && view.run->pid > 0 ? json::value(view.run->pid) : json::value(nullptr)},
      {"restarts", view.restarts},
      {"rate", or_null(status.events_per_s)},
      {"freshness_p99_ms", or_null(status.freshness_p99_ms)},
      {"lag_records", or_null(status.lag_records)},
      {"watermark_ms", or_null(status.watermark_ms)},
      {"checkpoint_ms", or_null(status.checkpoint_ms)},
      {"problems", problems_json(view.problems)},
      {"reason", reason_of(view)},
      {"replay_of",
       view.row.replay_of.empty() ? json::value(nullptr) : json::value(view.row.replay_of)},
      {"binary", view.binary}};
}

json::object run_json(const Run& run) {
  return {{"id", run.id},
          {"version", run.version},
          {"pid", run.pid > 0 ? json::value(run.pid) : json::value(nullptr)},
          {"started_ms", run.started_ms},
          {"ended_ms", or_null(run.ended_ms)},
          {"exit", or_null(run.exit)},
          {"signal", or_null(run.signal)},
          {"reason", run.reason.empty() ? json::value(nullptr) : json::value(run.reason)}};
}

json::object status_json(const JobView& view) {
  json::object status;
  if (view.status) {
    status = json::parse(view.status->text).get_object();
  } else {
    status = {{"job", view.row.name}};
    for (const char* unknown :
         {"version", "parallelism", "started_ms", "last_failure", "replay", "totals", "rates",
          "lag_records", "watermark_ms", "watermark_holder", "checkpoint"})
      status[unknown] = nullptr;
    status["restarts"] = 0;
    status["freshness"] = json::array();
    status["sources"] = json::array();
  }
  status["pid"] = view.run && view.run->pid > 0 ? json::value(view.run->pid) : json::value(nullptr);
  if (!view.status || view.state != view.status->state) {
    status["state"] = view.state;
    status["since_ms"] = view.since_ms;
  }
  if (view.last && !view.last->reason.empty() &&
      (!status.contains("last_failure") || status.at("last_failure").is_null()))
    status["last_failure"] =
        json::object{{"at_ms", or_null(view.last->ended_ms)}, {"message", view.last->reason}};
  status["server"] = json::object{{"desired", view.row.desired_running ? "running" : "stopped"},
                                  {"restarts", view.restarts},
                                  {"binary", view.binary},
                                  {"reason", reason_of(view)}};
  status["problems"] = problems_json(view.problems);
  return status;
}

json::array restore_points_of(const std::string& folder) {
  if (folder.empty()) return {};
  return json::parse(restore_points_json(folder)).get_array();
}

http::Response passed_on(const JobAnswer& answer) {
  http::Response response = json_response(answer.body, answer.status);
  response.content_type = answer.content_type;
  return response;
}

}  // namespace tidemill::server
