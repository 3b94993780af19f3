// The file sink with buckets: DIR/<bucket>/partition-P/<number, 20 digits>.jsonl. One number for
// all files of a checkpoint, so that what must be remembered does not grow with the buckets.
#pragma once

#include "connectors/file/file_sink.h"

namespace tidemill::file_internal {

// Throws Error(kConfig) for a bucket that is none.
SinkSpec bucketed_sink(const FileSinkSettings& settings);

}  // namespace tidemill::file_internal
