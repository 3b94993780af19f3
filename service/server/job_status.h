// What a job says of itself once a second, and what the server keeps of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidemill::server {

// A line for people with the next step (docs/operations.md has the ids).
struct Problem {
  std::string id;
  std::string severity;  // warning, error
  std::string text;
  std::string next;
  std::optional<std::int64_t> since_ms;
};

struct JobStatus {
  std::string text;  // all of it, as the job wrote it
  std::string job;
  std::string state;
  std::optional<double> events_per_s;
  std::optional<double> freshness_p99_ms;  // of its slowest output
  std::optional<std::int64_t> lag_records;
  std::optional<std::int64_t> watermark_ms;
  std::optional<std::int64_t> checkpoint_ms;  // when the last one was committed
  std::optional<std::int64_t> restarts;       // inside of this process
  std::vector<Problem> problems;
};

// Takes what is there and of the right type. Throws Error(kCorrupt) if it is no JSON object with a
// job's name.
[[nodiscard]] JobStatus parse_status(std::string_view text);

}  // namespace tidemill::server
