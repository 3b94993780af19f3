#include "service/server/api.h"

#include <algorithm>

#include "app/job_api.h"
#include "app/page.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "service/server/rate_limit.h"

namespace tidemill::server {
namespace {

// What is remembered of a request besides its path: never a configuration or a token.
constexpr std::size_t kMaxDetails = 1000;

http::Response refused(const CallError& error) {
  return error_response(error.status(), error.what(), error.next());
}

bool is_change(const Route& route) { return route.method != "GET"; }

// The body without what is long or secret.
std::string details_of(const http::Request& request) {
  boost::json::error_code error;
  boost::json::value value = boost::json::parse(request.body, error);
  if (error || !value.is_object()) return "";
  boost::json::object shown;
  for (const auto& member : value.get_object()) {
    if (member.key() == "config") {
      shown["config_sha256"] =
          member.value().is_string() ? sha256_hex(std::string(member.value().get_string())) : "";
    } else {
      shown[member.key()] = member.value();
    }
  }
  return boost::json::serialize(shown).substr(0, kMaxDetails);
}

}  // namespace

struct Api::State {
  State(const ApiSettings& settings, Service& s)
      : service(s),
        by_token(settings.requests_per_second, settings.burst),
        by_peer(settings.requests_per_second, settings.burst) {}

  // Whether the request may be made at all. Throws CallError.
  std::pair<Found, Caller> check(const http::Request& request) const;
  void limit(const Caller& caller, const http::Request& request);
  http::Response call(const Route& route, const Call& call);

  Service& service;
  RateLimit by_token;
  RateLimit by_peer;
};

std::pair<Found, Caller> Api::State::check(const http::Request& request) const {
  Found found = find_route(request.method, request.path);
  if (found.methods.empty() && !request.path.starts_with("/api/"))
    throw CallError(404, "there is nothing at this path", "GET /openapi.json describes the calls");
  Caller caller;
  if (found.methods.empty() || found.route == nullptr || found.route->role != Role::kNone) {
    const auto header = request.headers.find("authorization");
    const auto token =
        header == request.headers.end() ? std::nullopt : bearer_token(header->second);
    const auto known = token ? service.store.find_token(*token) : std::nullopt;
    if (!known)
      throw CallError(401, token ? "this token is not known" : "a token is needed",
                      "send Authorization: Bearer TOKEN; tidemill token create makes one on the "
                      "server's machine");
    caller = {known->name, known->role};
  }
  if (found.methods.empty())
    throw CallError(404, "there is no such call", "GET /openapi.json describes the calls");
  if (found.route == nullptr) {
    std::string allowed;
    for (const std::string_view method : found.methods)
      allowed += (allowed.empty() ? "" : ", ") + std::string(method);
    throw CallError(405, "this path takes " + allowed, "use one of these methods");
  }
  return {std::move(found), std::move(caller)};
}

void Api::State::limit(const Caller& caller, const http::Request& request) {
  const auto now = std::chrono::steady_clock::now();
  const bool is_admitted =
      caller.name.empty() ? by_peer.admit(request.peer, now) : by_token.admit(caller.name, now);
  if (!is_admitted)
    throw CallError(429, "too many requests",
                    "wait a second; --requests-per-second of the server raises the limit");
}

http::Response Api::State::call(const Route& route, const Call& call) {
  std::int64_t entry = 0;
  if (is_change(route)) {
    entry = service.store.begin_audit(
        {0, SystemClock().processing_time().ms, call.caller.name,
         std::string(name_of(call.caller.role)), call.request.peer,
         call.request.method + " " + call.request.path.substr(0, kMaxDetails),
         route.is_upload ? "" : details_of(call.request), std::nullopt});
  }
  http::Response response;
  try {
    if (call.caller.role < route.role)
      throw CallError(403,
                      "this needs the role " + std::string(name_of(route.role)) +
                          ", the token's is " + std::string(name_of(call.caller.role)),
                      "use a token of that role");
    response = route.answer(service, call);
  } catch (const CallError& error) {
    response = refused(error);
  } catch (const Error& error) {
    const int status = error.code() == ErrorCode::kRefused  ? 409
                       : error.code() == ErrorCode::kConfig ? 422
                       : error.code() == ErrorCode::kIo     ? 503
                                                            : 500;
    response = error_response(status, error.what(),
                              status == 503 ? "look at the server's log and disk, then try again"
                                            : "see docs/operations.md");
  } catch (const std::exception& error) {
    log(LogLevel::kError, "a call failed: " + call.request.method + " " +
                              call.request.path.substr(0, 200) + ": " + error.what());
    response = error_response(500, "the server failed at this call", "its log says why");
  }
  if (entry != 0) service.store.end_audit(entry, response.status);
  return response;
}

Api::Api(ApiSettings settings, Service& service)
    : state_(std::make_unique<State>(settings, service)) {}
Api::~Api() = default;

http::Callbacks Api::handler() {
  http::Callbacks handler;
  handler.answer = [this](const http::Request& request) { return answer(request); };
  handler.admit = [this](const http::Request& head) { return admit(head); };
  return handler;
}

http::Admission Api::admit(const http::Request& head) {
  try {
    const auto [found, caller] = state_->check(head);
    if (caller.role < found.route->role) {
      state_->limit(caller, head);
      // Recorded with its refusal; the body is not worth reading.
      return state_->call(*found.route, {head, found.path, caller});
    }
    if (!found.route->is_upload) return std::monostate{};
    return http::Upload{state_->service.binaries.upload_path(),
                        static_cast<std::size_t>(state_->service.max_upload_bytes)};
  } catch (const CallError&) {
    return answer(head);
  } catch (const std::exception& error) {
    return error_response(503, error.what(), "look at the server's log and disk, then try again");
  }
}

http::Response Api::answer(const http::Request& request) {
  try {
    // The page's files say nothing of a job, and a browser asks for them without a token.
    if (request.method == "GET" || request.method == "HEAD") {
      if (auto page = page_response(request)) return std::move(*page);
    }
    Caller peer;
    try {
      auto [found, caller] = state_->check(request);
      state_->limit(caller, request);
      return state_->call(*found.route, {request, std::move(found.path), std::move(caller)});
    } catch (const CallError& error) {
      if (error.status() != 429) state_->limit(peer, request);
      http::Response response = refused(error);
      if (error.status() == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
      if (error.status() == 429) response.headers.emplace_back("Retry-After", "1");
      if (error.status() == 405) {
        std::string allowed;
        for (const std::string_view method : find_route(request.method, request.path).methods)
          allowed += (allowed.empty() ? "" : ", ") + std::string(method);
        response.headers.emplace_back("Allow", allowed);
      }
      return response;
    }
  } catch (const CallError& error) {
    return refused(error);
  } catch (const std::exception& error) {
    return error_response(503, error.what(), "look at the server's log and disk, then try again");
  }
}

}  // namespace tidemill::server
