#include "service/server/job_status.h"

#include <algorithm>

#include <boost/json.hpp>

#include "engine/base/error.h"

namespace tidemill::server {
namespace json = boost::json;
namespace {

// The member at the end of a path of names; null if there is none.
const json::value* at(const json::object& object, std::initializer_list<std::string_view> path) {
  const json::object* here = &object;
  const json::value* found = nullptr;
  for (const std::string_view name : path) {
    if (here == nullptr) return nullptr;
    found = here->if_contains({name.data(), name.size()});
    if (found == nullptr) return nullptr;
    here = found->if_object();
  }
  return found;
}

std::optional<double> number(const json::value* value) {
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

std::optional<std::int64_t> integer(const json::value* value) {
  if (value == nullptr) return std::nullopt;
  if (value->is_int64()) return value->get_int64();
  if (const auto some = number(value)) {
    if (*some > -9e18 && *some < 9e18) return static_cast<std::int64_t>(*some);
  }
  return std::nullopt;
}

std::string text_of(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

JobStatus parse_status(std::string_view text) {
  json::error_code error;
  const json::value value = json::parse({text.data(), text.size()}, error);
  if (error || !value.is_object())
    throw Error(ErrorCode::kCorrupt,
                "a job's status is no JSON object: " + std::string(text.substr(0, 200)));
  const json::object& object = value.get_object();
  JobStatus status;
  status.text = text;
  status.job = text_of(at(object, {"job"}));
  if (status.job.empty())
    throw Error(ErrorCode::kCorrupt,
                "a job's status does not name the job: " + std::string(text.substr(0, 200)));
  status.state = text_of(at(object, {"state"}));
  status.events_per_s = number(at(object, {"rates", "events_per_s"}));
  status.lag_records = integer(at(object, {"lag_records"}));
  status.watermark_ms = integer(at(object, {"watermark_ms"}));
  status.checkpoint_ms = integer(at(object, {"checkpoint", "last_ms"}));
  status.restarts = integer(at(object, {"restarts"}));
  if (const json::value* all = at(object, {"freshness"}); all != nullptr && all->is_array()) {
    for (const json::value& output : all->get_array()) {
      if (!output.is_object()) continue;
      const auto p99 = number(at(output.get_object(), {"p99_ms"}));
      if (p99) status.freshness_p99_ms = std::max(status.freshness_p99_ms.value_or(*p99), *p99);
    }
  }
  if (const json::value* all = at(object, {"problems"}); all != nullptr && all->is_array()) {
    for (const json::value& problem : all->get_array()) {
      if (!problem.is_object()) continue;
      const json::object& p = problem.get_object();
      status.problems.push_back({text_of(at(p, {"id"})), text_of(at(p, {"severity"})),
                                 text_of(at(p, {"text"})), text_of(at(p, {"next"})),
                                 integer(at(p, {"since_ms"}))});
    }
  }
  return status;
}

}  // namespace tidemill::server
