// Handing a job over to a replay of it.
#include "service/server/effective_config.h"
#include "service/server/job_json.h"
#include "service/server/promotions.h"
#include "service/server/routes.h"

namespace tidemill::server {
namespace json = boost::json;

namespace calls {

http::Response promote_job(Service& service, const Call& call) {
  const JobView job = viewed_job(service, call);
  Body body(call.request);
  const std::string name = body.text("replay");
  body.finish();
  const JobView replay = view_of(service, name);
  if (replay.row.replay_of != job.row.name)
    throw CallError(422, name.substr(0, 100) + " is no replay of " + job.row.name,
                    "name one of its replays, " + job.row.name + ".NAME");
  Version version = service.store.version(name, replay.row.version);
  for (const Setting& setting : parse_settings(version.effective)) {
    if (!setting.key.starts_with("until.") || setting.source == "default") continue;
    throw CallError(409,
                    "the replay ends (" + setting.key + ": " + setting.value +
                        "), where everything fires and nothing can follow: it cannot take the "
                        "job's place",
                    "start a replay without an end; it is held where it takes over");
  }
  // What would be refused at its end is refused now.
  version.args = without_replay_args(version.args);
  (void)checked_version(service, job.row, std::move(version));
  service.promotions->begin(job, replay);
  return json_answer(service.promotions->list(job.row.name, 1000).at(0), 202);
}

http::Response cancel_promotion(Service& service, const Call& call) {
  const JobView job = viewed_job(service, call);
  Body(call.request).finish();
  service.promotions->cancel(job.row.name);
  return json_answer(service.promotions->list(job.row.name, 1000).at(0));
}

http::Response list_promotions(Service& service, const Call& call) {
  const auto job = call.request.query.find("job");
  return json_answer(
      json::object{{"promotions", service.promotions->list(
                                      job == call.request.query.end() ? std::string() : job->second,
                                      call.query_number("limit", 100, 1, 1000))}});
}

}  // namespace calls
}  // namespace tidemill::server
