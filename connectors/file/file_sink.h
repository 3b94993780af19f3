// Writes a file log, exactly once: rows go to hidden files that are renamed once the checkpoint
// that covers them is committed (README.md).
#pragma once

#include <cstdint>
#include <filesystem>

#include "engine/operator/sink.h"

namespace tidemill {

struct FileSinkSettings {
  std::filesystem::path dir;
  std::int32_t partitions = 1;
  bool is_durable = true;  // false leaves out fsync (simulations only)
};

// Rows of one key go to one partition, in order; rows without a key to partition 0. One subtask
// writes all partitions. Throws Error(kConfig) if the directory cannot be made.
SinkSpec file_sink(FileSinkSettings settings);

}  // namespace tidemill
