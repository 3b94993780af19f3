// The events as a file log: made once, read back as Nexmark's streams, exactly once under
// checkpoints.
#pragma once

#include <filesystem>

#include "app/environment.h"
#include "bench/nexmark/generator.h"
#include "bench/nexmark/queries/events.h"

namespace tidemill::nexmark {

// A bid is in the partition of its auction.
inline constexpr int kLogPartitions = 2;

// Writes the log unless it is there already; a log is there whole or not at all. Lines are those of
// event_text.h. Throws Error(kIo).
void make_file_log(const std::filesystem::path& dir, const GeneratorSettings& settings,
                   std::int64_t events);

// The texts of the events stay in memory as long as the job runs. Throws Error(kConfig).
Events read_file_log(Environment& env, const std::filesystem::path& dir, Duration disorder);

}  // namespace tidemill::nexmark
