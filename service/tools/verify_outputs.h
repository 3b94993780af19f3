// Reads what the judgement of OutputVerify needs: what a job has committed, and a sample of what
// Redis serves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "service/tools/output_rows.h"

namespace tidemill::tools {

// Where a job with Redis has its committed rows: Kafka, else files. Throws Error(kRefused): it has
// no Redis, or Redis only.
[[nodiscard]] Output committed_output_of(const Settings& settings);
// The time to live of the sink's keys, in ms. Nothing: they stay, or it is not known.
[[nodiscard]] std::optional<std::int64_t> redis_ttl_of(const Settings& settings);

// `tidemill verify-outputs FILE` of the server: FILE has {settings, replay (its NAME, else empty),
// is_running, checkpoints (the job's folder), patience_ms, since_ms, sample, seed, show}; prints
// OutputVerify's JSON and besides {committed, redis: what was compared, is_certain: false if doubts
// are left and the running job has not committed since what Redis had}. `patience_ms`, twice, is
// how long that is waited for. Exit code as of any verb.
int verify_outputs_command(const std::string& file);

}  // namespace tidemill::tools
