// Writes a file log, exactly once: rows go to hidden files that are renamed once the checkpoint
// that covers them is committed (README.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/operator/sink.h"

namespace tidemill {

struct FileSinkSettings {
  std::filesystem::path dir;
  std::int32_t partitions = 1;
  // A folder of its own for each part of event time, in UTC: "day=%Y-%m-%d/%H:%M"; of %Y %m %d %H
  // %M, in the order of time, with / between folders (time_buckets_internal.h). Empty: one for all.
  std::string bucket = {};
  bool is_durable = true;  // false leaves out fsync (simulations only)
};

// Rows of one key go to one partition (of a bucket), in order; rows without a key to partition 0.
// One subtask writes all partitions. Throws Error(kConfig) for a bucket that is none; its subtask
// if the directory cannot be made.
SinkSpec file_sink(FileSinkSettings settings);

}  // namespace tidemill
