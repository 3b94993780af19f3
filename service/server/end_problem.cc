#include "service/server/end_problem.h"

#include <string_view>

#include "app/diagnosis.h"
#include "service/server/restart_policy.h"

namespace tidemill::server {
namespace {

constexpr std::int64_t kWrongUsage = 2;
constexpr std::int64_t kRefused = 3;

bool tells(const Run& run, std::string_view words) {
  return run.reason.find(words) != std::string::npos;
}

}  // namespace

std::optional<Problem> problem_of_surroundings(const Run& run) {
  auto found = tidemill::problem_of_surroundings(run.reason);
  if (!found) return std::nullopt;
  return Problem{found->id, "error", found->text, found->next, run.ended_ms};
}

Problem problem_of_end(const std::string& job, const Run& run) {
  Problem problem;
  problem.severity = "error";
  problem.since_ms = run.ended_ms;
  // "partition T:P lost offsets A..B before they were read (…)" (connectors/kafka, rows F).
  if (run.exit == kRefused && tells(run, " lost offsets ") && tells(run, "before they were read")) {
    problem.id = "offset_expired";
    problem.text = "the input is gone where the job would go on: " + run.reason;
    problem.next = "see what is lost and how to go on: tidemill recover " + job +
                   "; raise the topic's retention above the longest stop";
    return problem;
  }
  problem.id = "failed";
  problem.text = "it has ended and is not started again (" + describe_end(run.exit, run.signal) +
                 "): " + run.reason;
  if (run.exit == kWrongUsage) {
    problem.next = "mend what it names, then: tidemill start " + job;
  } else if (run.exit == kRefused) {
    problem.next =
        "nothing was written; see what it would lose or double and how to go on: "
        "tidemill recover " +
        job;
  } else {
    problem.next = "mend what it names, then: tidemill start " + job +
                   "; nothing is lost, it begins at the last committed checkpoint";
  }
  return problem;
}

}  // namespace tidemill::server
