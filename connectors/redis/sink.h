// The Redis sink: one key per record key, holding the newest row (README.md).
#pragma once

#include <string>

#include "connectors/redis/writer.h"
#include "engine/base/time.h"
#include "engine/operator/sink.h"

namespace tidemill {

struct RedisSinkSettings {
  std::string job;  // for the names of connections
  RedisWriterSettings writer = {};
  Duration ttl = Duration::zero();  // counted from the write; zero: none
};

// Rows go out at once; a checkpoint is complete only when all rows before its barrier are
// acknowledged. A row's time must be the time in its guard field. Deletions delete the key. Throws
// Error(kConfig) for settings that cannot work; a row without a key makes the job stop with
// Error(kUser).
SinkSpec redis_sink(RedisSinkSettings settings);

}  // namespace tidemill
