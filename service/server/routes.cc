#include "service/server/routes.h"

namespace tidemill::server {
namespace {

constexpr Role kViewer = Role::kViewer;
constexpr Role kOperator = Role::kOperator;
constexpr Role kAdmin = Role::kAdmin;

constexpr Route kRoutes[] = {
    {"GET", "/healthz", Role::kNone, calls::health},
    {"GET", "/openapi.json", Role::kNone, calls::open_api},
    {"GET", "/metrics", kViewer, calls::metrics},
    {"GET", "/api/v1/scrape-targets", kViewer, calls::scrape_targets},
    {"GET", "/api/v1/jobs", kViewer, calls::list_jobs},
    {"POST", "/api/v1/jobs", kAdmin, calls::submit_job},
    {"GET", "/api/v1/jobs/{job}", kViewer, calls::get_job},
    {"DELETE", "/api/v1/jobs/{job}", kAdmin, calls::delete_job},
    {"POST", "/api/v1/jobs/{job}/start", kOperator, calls::start_job},
    {"POST", "/api/v1/jobs/{job}/dry-start", kOperator, calls::dry_start_job},
    {"POST", "/api/v1/jobs/{job}/transactions", kOperator, calls::job_transactions},
    {"POST", "/api/v1/jobs/{job}/stop", kOperator, calls::stop_job},
    {"POST", "/api/v1/jobs/{job}/cancel", kOperator, calls::cancel_job},
    {"POST", "/api/v1/jobs/{job}/drain", kOperator, calls::drain_job},
    {"POST", "/api/v1/jobs/{job}/savepoint", kOperator, calls::savepoint_job},
    {"DELETE", "/api/v1/jobs/{job}/savepoints/{id}", kOperator, calls::delete_savepoint},
    {"POST", "/api/v1/jobs/{job}/restart", kOperator, calls::restart_job},
    {"POST", "/api/v1/jobs/{job}/check-upgrade", kOperator, calls::check_upgrade},
    {"POST", "/api/v1/jobs/{job}/restore", kOperator, calls::restore_job},
    {"POST", "/api/v1/jobs/{job}/replays", kOperator, calls::start_replay},
    {"POST", "/api/v1/jobs/{job}/promote", kOperator, calls::promote_job},
    {"DELETE", "/api/v1/jobs/{job}/promote", kOperator, calls::cancel_promotion},
    {"GET", "/api/v1/jobs/{job}/diff", kViewer, calls::diff_job},
    {"GET", "/api/v1/jobs/{job}/verify", kViewer, calls::verify_job},
    {"GET", "/api/v1/promotions", kViewer, calls::list_promotions},
    {"GET", "/api/v1/jobs/{job}/status", kViewer, calls::job_status},
    {"GET", "/api/v1/jobs/{job}/config", kViewer, calls::job_config},
    {"GET", "/api/v1/jobs/{job}/checkpoints", kViewer, calls::job_checkpoints},
    {"GET", "/api/v1/jobs/{job}/logs", kViewer, calls::job_logs},
    {"GET", "/api/v1/jobs/{job}/events", kViewer, calls::job_events},
    {"GET", "/api/v1/jobs/{job}/graph", kViewer, calls::pass_on},
    {"GET", "/api/v1/jobs/{job}/freshness", kViewer, calls::pass_on},
    {"GET", "/api/v1/jobs/{job}/hold", kViewer, calls::pass_on},
    {"GET", "/api/v1/jobs/{job}/late", kViewer, calls::pass_on},
    {"GET", "/api/v1/jobs/{job}/keys", kViewer, calls::pass_on},
    {"GET", "/api/v1/jobs/{job}/exceptions", kViewer, calls::pass_on},
    {"GET", "/api/v1/jobs/{job}/state", kViewer, calls::job_state},
    {"GET", "/api/v1/jobs/{job}/state/get", kViewer, calls::job_state_of_key},
    {"GET", "/api/v1/jobs/{job}/explain", kViewer, calls::pass_on},
    {"GET", "/api/v1/jobs/{job}/metrics", kViewer, calls::pass_on},
    {"GET", "/api/v1/binaries", kAdmin, calls::list_binaries},
    {"PUT", "/api/v1/binaries", kAdmin, calls::upload_binary, true},
    {"GET", "/api/v1/audit", kAdmin, calls::list_audit},
    {"GET", "/api/v1/tokens", kAdmin, calls::list_tokens},
    {"POST", "/api/v1/tokens", kAdmin, calls::add_token},
    {"DELETE", "/api/v1/tokens/{name}", kAdmin, calls::remove_token},
};

// Takes the part up to the next slash off `path`.
std::string_view next_part(std::string_view& path) {
  const std::string_view part = path.substr(0, path.find('/'));
  path.remove_prefix(std::min(part.size() + 1, path.size()));
  return part;
}

bool matches(std::string_view pattern, std::string_view path,
             std::map<std::string, std::string>& values) {
  values.clear();
  if (path.ends_with('/') != pattern.ends_with('/')) return false;
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = next_part(pattern);
    const std::string_view part = next_part(path);
    if (wanted.starts_with('{')) {
      if (part.empty()) return false;
      values[std::string(wanted.substr(1, wanted.size() - 2))] = part;
    } else if (wanted != part) {
      return false;
    }
  }
  return pattern.empty() && path.empty();
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

Found find_route(std::string_view method, std::string_view path) {
  Found found;
  std::map<std::string, std::string> values;
  for (const Route& route : kRoutes) {
    if (!matches(route.path, path, values)) continue;
    found.methods.push_back(route.method);
    if (route.method != method && !(route.method == "GET" && method == "HEAD")) continue;
    found.route = &route;
    found.path = std::move(values);
    return found;
  }
  return found;
}

JobView view_of(const Service& service, const std::string& job) {
  auto view = service.fleet.view(job);
  if (!view)
    throw CallError(404, "there is no job " + job.substr(0, 100), "GET /api/v1/jobs lists them");
  return std::move(*view);
}

JobView viewed_job(const Service& service, const Call& call) {
  return view_of(service, call.job());
}

}  // namespace tidemill::server
