#include "app/job_api.h"

#include <utility>

#include "app/page.h"
#include "connectors/formats/json_writer.h"
#include "engine/base/error.h"
#include "engine/base/log.h"

namespace tidemill {
namespace {

constexpr int kPortsTried = 10;
constexpr std::size_t kMaxBodyBytes = 64 * 1024;

bool matches(const std::string& pattern, const std::string& path) {
  if (!pattern.ends_with("/*")) return pattern == path;
  const std::size_t stem = pattern.size() - 1;
  return path.size() > stem && path.compare(0, stem, pattern, 0, stem) == 0 &&
         path.find('/', stem) == std::string::npos;
}

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kConfig: return 422;
    case ErrorCode::kRefused: return 409;
    default: return 500;
  }
}

http::Callbacks callbacks_of(const JobApi& api) {
  http::Callbacks callbacks;
  callbacks.answer = [&api](const http::Request& request) { return api.respond(request); };
  callbacks.failed = [](const http::Request& request, const std::string& error) {
    log(LogLevel::kError, "http: " + request.method + " " + request.path + " failed: " + error);
  };
  return callbacks;
}

}  // namespace

http::Response json_response(std::string body, int status) {
  http::Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers = {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}};
  return response;
}

http::Response error_response(int status, const std::string& error, const std::string& next) {
  std::string body;
  JsonWriter(body).begin_object().field("error", error).field("next", next).end_object();
  return json_response(body + "\n", status);
}

void JobApi::add(const std::string& method, const std::string& path, Where where, Answer answer) {
  routes_.push_back({method, path, where, std::move(answer)});
}

http::Response JobApi::respond(const http::Request& request) const {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  std::string allowed;
  for (const Route& route : routes_) {
    if (!matches(route.path, request.path)) continue;
    if (route.method != method) {
      allowed += (allowed.empty() ? "" : ", ") + route.method;
      continue;
    }
    if (route.where == Where::kSocketOnly && request.peer != "unix")
      return error_response(403, "the port of a job only reads",
                            "use the job's control socket (--control), or the server that runs it");
    try {
      return route.answer(request);
    } catch (const Error& e) {
      return error_response(status_of(e.code()), e.what(), "");
    }
  }
  if (!allowed.empty()) {
    http::Response response =
        error_response(405, request.method + " is not for " + request.path, "use " + allowed);
    response.headers.emplace_back("Allow", allowed);
    return response;
  }
  if (method == "GET") {
    if (auto page = page_response(request)) return std::move(*page);
  }
  return error_response(404, "there is nothing at " + request.path,
                        "there are / (the page), /metrics, /healthz, /readyz, /late, /api/v1/…");
}

void check_http_address(const std::string& where) {
  if (where == "none") return;
  if (!http::is_loopback(where) || where.starts_with("unix:"))
    throw Error(
        ErrorCode::kConfig,
        "http: a job's own port has neither TLS nor tokens and takes loopback addresses only: " +
            where);
}

void check_control_path(const std::string& path) {
  if (!path.empty()) (void)http::is_loopback("unix:" + path);
}

std::unique_ptr<http::Server> serve_job(const std::string& where, const JobApi& api) {
  if (where == "none") return nullptr;
  check_http_address(where);
  http::ServerSettings settings;
  settings.address = where;
  settings.ports_tried = kPortsTried;
  settings.max_connections = 64;
  settings.max_body_bytes = kMaxBodyBytes;
  return http::serve(std::move(settings), callbacks_of(api));
}

std::unique_ptr<http::Server> serve_control(const std::string& path, const JobApi& api) {
  if (path.empty()) return nullptr;
  http::ServerSettings settings;
  settings.address = "unix:" + path;
  settings.max_body_bytes = kMaxBodyBytes;
  return http::serve(std::move(settings), callbacks_of(api));
}

}  // namespace tidemill
