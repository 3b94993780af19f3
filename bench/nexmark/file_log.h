// The events as a file log: made once, read back exactly once under checkpoints.
#pragma once

#include <filesystem>

#include "app/environment.h"
#include "bench/nexmark/generator.h"
#include "operators/source.h"

namespace tidemill::nexmark {

// Writes the log unless it is there already; a log is there whole or not at all. Throws Error(kIo).
void make_file_log(const std::filesystem::path& dir, const GeneratorSettings& settings,
                   std::int64_t events);

// Throws Error(kConfig).
SourceSpec<RawRecord> file_lines(Environment& env, const std::filesystem::path& dir);

}  // namespace tidemill::nexmark
