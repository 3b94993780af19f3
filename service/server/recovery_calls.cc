// Getting a job going again: what a start would do, and its open transactions.
#include "engine/base/error.h"
#include "service/server/job_question.h"
#include "service/server/routes.h"

namespace tidemill::server {
namespace {

// As a start does: the settings may be of a version that was never started.
JobBinaryQuestion question_of(const Service& service, const JobView& view) {
  const ServerFolder& server = service.fleet.folder();
  const JobFolder folder = server.job(view.row.name);
  const Version version = service.store.version(view.row.name, view.row.version);
  if (!view.run) {
    make_job_folder(folder, version.user);
    write_private(folder.config(), version.config, version.user);
  }
  return {service.fleet.settings().program, server.work(view.row.name, view.row.replay_of),
          version.user, job_command(server, view.row, version)};
}

template <class Ask>
http::Response told(const Ask& ask) {
  try {
    http::Response response;
    response.body = ask();
    return response;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kIo) throw;
    throw CallError(503, error.what(), "look at the brokers, then ask again");
  }
}

}  // namespace

namespace calls {

http::Response dry_start_job(Service& service, const Call& call) {
  JobView view = viewed_job(service, call);
  Body body(call.request);
  view.row.once_args = body.maybe_texts("once").value_or(std::vector<std::string>{});
  body.finish();
  check_once_args(view.row.once_args);
  if (view.run)
    throw CallError(409, "the job runs: " + view.row.name, "stop it before you ask for its start");
  return told([&] { return ask_dry_start(question_of(service, view)); });
}

http::Response job_transactions(Service& service, const Call& call) {
  const JobView view = viewed_job(service, call);
  Body body(call.request);
  const std::string what = body.maybe_text("action").value_or("status");
  body.finish();
  if (what != "status" && what != "abort" && what != "force-abort")
    throw CallError(422, "in the body, action is none of status, abort, force-abort",
                    "leave it out to only look");
  if (what == "abort" && view.run)
    throw CallError(409, "the job runs, and its open transaction is its own: " + view.row.name,
                    "stop it first; force-abort fences it, and it restarts from its last commit");
  return told([&] { return ask_transactions(question_of(service, view), what); });
}

}  // namespace calls
}  // namespace tidemill::server
