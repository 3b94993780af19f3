// The server itself: health, its document, metrics, binaries, tokens, audit.
#include <map>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "app/diagnosis.h"
#include "app/version.h"
#include "engine/base/error.h"
#include "service/server/job_json.h"
#include "service/server/open_api.h"
#include "service/server/routes.h"

namespace tidemill::server {
namespace json = boost::json;
namespace {

prometheus::MetricFamily family(const char* name, const char* help, prometheus::MetricType type) {
  prometheus::MetricFamily made;
  made.name = name;
  made.help = help;
  made.type = type;
  return made;
}

void add(prometheus::MetricFamily& to, std::vector<std::pair<std::string, std::string>> labels,
         double value) {
  prometheus::ClientMetric metric;
  for (auto& [name, text] : labels) metric.label.push_back({name, text});
  if (to.type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  to.metric.push_back(std::move(metric));
}

std::string metrics_text(const std::vector<JobView>& views, std::int64_t started_ms) {
  using prometheus::MetricType;
  auto up = family("tidemill_server_start_time_seconds",
                   "When this server was started, in seconds since the epoch", MetricType::Gauge);
  auto states = family("tidemill_server_jobs", "Jobs by state", MetricType::Gauge);
  auto job_state =
      family("tidemill_server_job_state", "1 for the state that the job is in", MetricType::Gauge);
  auto desired =
      family("tidemill_server_job_desired_running", "1 if the job is to run", MetricType::Gauge);
  auto restarts =
      family("tidemill_server_job_restarts",
             "Ends of the job's process in a row without a new checkpoint", MetricType::Gauge);
  auto rate = family("tidemill_server_job_events_per_second", "Events read", MetricType::Gauge);
  auto lag = family("tidemill_server_job_lag_records", "Records not read yet", MetricType::Gauge);
  auto freshness =
      family("tidemill_server_job_freshness_p99_seconds",
             "Age of events when written, p99 of the slowest output", MetricType::Gauge);
  auto checkpoint = family("tidemill_server_job_last_checkpoint_timestamp_seconds",
                           "When the last checkpoint was committed", MetricType::Gauge);
  auto watermark = family("tidemill_server_job_watermark_timestamp_seconds",
                          "Event time that the job has reached", MetricType::Gauge);
  auto problems =
      family("tidemill_server_job_problem",
             "1 for each problem that the job has, by its id, else 0", MetricType::Gauge);
  add(up, {}, static_cast<double>(started_ms) / 1000);
  std::map<std::string, int> counts = {
      {"starting", 0}, {"running", 0}, {"restarting", 0},  {"stopping", 0},   {"finished", 0},
      {"failed", 0},   {"stopped", 0}, {"backing_off", 0}, {"crash_loop", 0}, {"lost", 0}};
  for (const JobView& view : views) {
    const std::string& name = view.row.name;
    const std::string replay = view.row.replay_of.empty() ? "false" : "true";
    ++counts[view.state];
    add(job_state, {{"job", name}, {"state", view.state}}, 1);
    add(desired, {{"job", name}}, view.row.desired_running ? 1 : 0);
    add(restarts, {{"job", name}}, view.restarts);
    std::map<std::string, double> found;
    for (const char* id : kProblemIds) found[id] = 0;
    for (const Problem& problem : view.problems) found[problem.id] = 1;
    for (const auto& [id, is_found] : found)
      add(problems, {{"job", name}, {"problem", id}, {"replay", replay}}, is_found);
    if (!view.status) continue;
    const JobStatus& status = *view.status;
    if (status.events_per_s) add(rate, {{"job", name}}, *status.events_per_s);
    if (status.lag_records) add(lag, {{"job", name}}, static_cast<double>(*status.lag_records));
    if (status.freshness_p99_ms) add(freshness, {{"job", name}}, *status.freshness_p99_ms / 1000);
    if (status.checkpoint_ms)
      add(checkpoint, {{"job", name}}, static_cast<double>(*status.checkpoint_ms) / 1000);
    if (status.watermark_ms)
      add(watermark, {{"job", name}}, static_cast<double>(*status.watermark_ms) / 1000);
  }
  for (const auto& [state, count] : counts) add(states, {{"state", state}}, count);
  return prometheus::TextSerializer().Serialize({up, states, job_state, desired, restarts, rate,
                                                 lag, freshness, checkpoint, watermark, problems});
}

}  // namespace

namespace calls {

http::Response health(Service& service, const Call&) {
  return json_answer(json::object{
      {"status", "ok"}, {"version", kVersionText}, {"started_ms", service.started_ms}});
}

http::Response open_api(Service&, const Call&) {
  http::Response response;
  response.content_type = "application/json";
  response.body = kOpenApi;
  return response;
}

http::Response metrics(Service& service, const Call&) {
  http::Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = metrics_text(service.fleet.views(), service.started_ms);
  return response;
}

// For http_sd_config of Prometheus: it scrapes each job through the server, by the name and with
// the token that it asks this with.
http::Response scrape_targets(Service& service, const Call& call) {
  const std::string host = call.request.header("host");
  if (host.empty())
    throw CallError(400, "the request has no Host, which the targets are to have",
                    "ask with HTTP/1.1");
  json::array groups;
  const auto add_target = [&](const std::string& path, const std::string& job, const char* kind) {
    groups.push_back(json::object{
        {"targets", json::array{host}},
        {"labels", json::object{{"__metrics_path__", path}, {"job", job}, {"tidemill", kind}}}});
  };
  add_target("/metrics", "tidemill-server", "server");
  for (const JobView& view : service.fleet.views()) {
    const std::string& name = view.row.name;
    if (view.row.desired_running && view.state != "finished")
      add_target("/api/v1/jobs/" + name + "/metrics", name, "job");
  }
  return json_answer(groups);
}

http::Response upload_binary(Service& service, const Call& call) {
  try {
    const Binaries::Kept kept = service.binaries.keep(call.request.upload);
    service.store.add_binary({kept.sha256, kept.bytes, now_ms(), call.caller.name});
    return json_answer(json::object{{"sha256", kept.sha256}, {"bytes", kept.bytes}}, 201);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kConfig)
      throw CallError(422, error.what(), "upload the program that cmake built for this machine");
    if (error.code() == ErrorCode::kRefused)
      throw CallError(403, error.what(),
                      "have its SHA-256 added to the file that --allow-list names");
    throw;
  }
}

http::Response list_binaries(Service& service, const Call&) {
  json::array binaries;
  for (const BinaryRow& row : service.store.binaries())
    binaries.push_back(json::object{{"sha256", row.sha256},
                                    {"bytes", row.bytes},
                                    {"uploaded_ms", row.uploaded_ms},
                                    {"uploaded_by", row.uploaded_by}});
  return json_answer(json::object{{"binaries", std::move(binaries)}});
}

http::Response list_audit(Service& service, const Call& call) {
  constexpr std::int64_t kMost = (std::int64_t{1} << 53) - 1;
  json::array entries;
  for (const AuditRow& row : service.store.audit(call.query_number("before", kMost, 1, kMost),
                                                 call.query_number("limit", 100, 1, 1000)))
    entries.push_back(json::object{{"id", row.id},
                                   {"at_ms", row.at_ms},
                                   {"who", row.who},
                                   {"role", row.role},
                                   {"peer", row.peer},
                                   {"action", row.action},
                                   {"details", row.details},
                                   {"status", or_null(row.status)}});
  return json_answer(json::object{{"audit", std::move(entries)}});
}

http::Response list_tokens(Service& service, const Call&) {
  json::array tokens;
  for (const TokenRow& row : service.store.tokens())
    tokens.push_back(json::object{
        {"name", row.name}, {"role", name_of(row.role)}, {"created_ms", row.created_ms}});
  return json_answer(json::object{{"tokens", std::move(tokens)}});
}

http::Response add_token(Service& service, const Call& call) {
  Body body(call.request);
  const std::string name = body.text("name");
  const auto role = parse_role(body.text("role"));
  body.finish();
  if (!is_job_name(name))
    throw CallError(422, "a token's name has 1 to 64 letters, digits, _, - and .",
                    "give another name");
  if (!role) throw CallError(422, "a role is viewer, operator or admin", "give one of these");
  const std::string token = new_token();
  try {
    service.store.add_token(name, *role, token, now_ms());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kRefused) throw;
    throw CallError(409, "there is a token of this name: " + name,
                    "give another name, or delete that one first");
  }
  return json_answer(json::object{{"name", name}, {"role", name_of(*role)}, {"token", token}}, 201);
}

http::Response remove_token(Service& service, const Call& call) {
  Body(call.request).finish();
  const std::string& name = call.path.at("name");
  if (!service.store.remove_token(name))
    throw CallError(404, "there is no token " + name.substr(0, 100),
                    "GET /api/v1/tokens lists them");
  return json_answer(json::object{{"name", name}});
}

}  // namespace calls
}  // namespace tidemill::server
