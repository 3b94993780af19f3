// What is wrong with a job whose process has ended, with the next step.
#pragma once

#include <optional>
#include <string>

#include "service/server/job_status.h"
#include "service/server/store.h"

namespace tidemill::server {

// A cause outside of the job, known by its words: it is started again and goes on once that is
// mended.
[[nodiscard]] std::optional<Problem> problem_of_surroundings(const Run& run);

// `run`: its last, after which it is not started again. The only place that tells one refusal from
// another by its words: `offset_expired`, or `failed`.
[[nodiscard]] Problem problem_of_end(const std::string& job, const Run& run);

}  // namespace tidemill::server
