// Jobs as the API shows them.
#pragma once

#include <boost/json.hpp>

#include "http/message.h"
#include "service/server/job_link.h"
#include "service/server/supervised_job.h"

namespace tidemill::server {

[[nodiscard]] boost::json::array problems_json(const std::vector<Problem>& problems);
[[nodiscard]] boost::json::object summary_json(const JobView& view);  // an entry of GET jobs
[[nodiscard]] boost::json::object run_json(const Run& run);
// As GET status of the job itself, with what only the server knows; of a job that does not answer
// what is not known is null.
[[nodiscard]] boost::json::object status_json(const JobView& view);
// What a checkpoint folder holds, as `restore_points` of GET checkpoints.
[[nodiscard]] boost::json::array restore_points_of(const std::string& folder);
// What the job's process answered, as the server's own answer.
[[nodiscard]] http::Response passed_on(const JobAnswer& answer);

template <typename T>
boost::json::value or_null(const std::optional<T>& value) {
  return value ? boost::json::value(*value) : boost::json::value(nullptr);
}

}  // namespace tidemill::server
