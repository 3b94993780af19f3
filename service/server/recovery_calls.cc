// Getting a job going again: what a start would do.
#include "engine/base/error.h"
#include "service/server/dry_start_question.h"
#include "service/server/routes.h"

namespace tidemill::server::calls {

http::Response dry_start_job(Service& service, const Call& call) {
  JobView view = viewed_job(service, call);
  Body body(call.request);
  view.row.once_args = body.maybe_texts("once").value_or(std::vector<std::string>{});
  body.finish();
  check_once_args(view.row.once_args);
  if (view.run)
    throw CallError(409, "the job runs: " + view.row.name, "stop it before you ask for its start");
  const ServerFolder& server = service.fleet.folder();
  const JobFolder folder = server.job(view.row.name);
  const Version version = service.store.version(view.row.name, view.row.version);
  // As a start does: the settings may be of a version that was never started.
  make_job_folder(folder, version.user);
  write_private(folder.config(), version.config, version.user);
  try {
    http::Response response;
    response.body = ask_dry_start({service.fleet.settings().program, folder.work(), version.user,
                                   job_command(server, view.row, version)});
    return response;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kIo) throw;
    throw CallError(503, error.what(), "look at the brokers, then ask again");
  }
}

}  // namespace tidemill::server::calls
