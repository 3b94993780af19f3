// Every call of the server's API: who may make it and who answers it. The OpenAPI document
// (openapi.json) describes the same calls; a test holds them together.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "service/server/binaries.h"
#include "service/server/call.h"
#include "service/server/fleet.h"
#include "service/server/store.h"

namespace tidemill::server {

class Promotions;

// What calls work with. All of it outlives the calls.
struct Service {
  Store& store;
  Fleet& fleet;
  Binaries& binaries;
  std::int64_t max_upload_bytes = std::int64_t{1} << 30;
  std::int64_t started_ms = 0;
  Promotions* promotions = nullptr;  // set before the first call
};

using Answer = http::Response (*)(Service&, const Call&);

struct Route {
  std::string_view method;
  std::string_view path;  // "/api/v1/jobs/{job}/stop"
  Role role;              // kNone: needs no token
  Answer answer;
  bool is_upload = false;  // its body goes into a file
};

[[nodiscard]] std::span<const Route> routes();

struct Found {
  const Route* route = nullptr;  // null: `methods` has what the path can be asked with
  std::map<std::string, std::string> path;
  std::vector<std::string_view> methods;  // empty: there is no such path
};
[[nodiscard]] Found find_route(std::string_view method, std::string_view path);

// Answers, by what they are about.
namespace calls {
// job_calls.cc
http::Response list_jobs(Service&, const Call&);
http::Response submit_job(Service&, const Call&);
http::Response get_job(Service&, const Call&);
http::Response delete_job(Service&, const Call&);
http::Response start_replay(Service&, const Call&);
// life_calls.cc
http::Response start_job(Service&, const Call&);
http::Response stop_job(Service&, const Call&);
http::Response cancel_job(Service&, const Call&);
http::Response drain_job(Service&, const Call&);
http::Response savepoint_job(Service&, const Call&);
http::Response delete_savepoint(Service&, const Call&);
http::Response restart_job(Service&, const Call&);
http::Response check_upgrade(Service&, const Call&);
http::Response restore_job(Service&, const Call&);
// promotion_calls.cc
http::Response promote_job(Service&, const Call&);
http::Response cancel_promotion(Service&, const Call&);
http::Response list_promotions(Service&, const Call&);
// recovery_calls.cc
http::Response dry_start_job(Service&, const Call&);
http::Response job_transactions(Service&, const Call&);
// diff_calls.cc
http::Response diff_job(Service&, const Call&);
http::Response verify_job(Service&, const Call&);
// read_calls.cc
http::Response job_status(Service&, const Call&);
http::Response job_config(Service&, const Call&);
http::Response job_checkpoints(Service&, const Call&);
http::Response job_logs(Service&, const Call&);
http::Response job_events(Service&, const Call&);
http::Response job_state(Service&, const Call&);
http::Response job_state_of_key(Service&, const Call&);
http::Response pass_on(Service&, const Call&);
// admin_calls.cc
http::Response health(Service&, const Call&);
http::Response open_api(Service&, const Call&);
http::Response metrics(Service&, const Call&);
http::Response scrape_targets(Service&, const Call&);
http::Response upload_binary(Service&, const Call&);
http::Response list_binaries(Service&, const Call&);
http::Response list_audit(Service&, const Call&);
http::Response list_tokens(Service&, const Call&);
http::Response add_token(Service&, const Call&);
http::Response remove_token(Service&, const Call&);
}  // namespace calls

// Of a job as it is now, which somebody else may have removed meanwhile. Throws CallError(404).
[[nodiscard]] JobView view_of(const Service& service, const std::string& job);
// Of the job a call is about.
[[nodiscard]] JobView viewed_job(const Service& service, const Call& call);

// What a version is asked besides, if there is a checkpoint to go on from.
struct UpgradeQuestion {
  std::string checkpoint = "latest";
  std::vector<std::string> once;  // flags of the start that would follow
  // The answer, of --check-upgrade; nothing: there is no checkpoint, or the binary is too old.
  std::optional<boost::json::object> answer = {};
};
// Makes a version of a job and asks the binary about it. `config`, `binary` and `args` are what was
// asked for. Throws CallError.
[[nodiscard]] Version checked_version(const Service& service, const JobRow& job, Version wanted,
                                      UpgradeQuestion* upgrade = nullptr);
// Flags that hold for one start. Throws CallError(422) for others.
void check_once_args(const std::vector<std::string>& args);

}  // namespace tidemill::server
