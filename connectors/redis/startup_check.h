// What can be known about a Redis server before the first row (docs/semantics.md 8).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "connectors/redis/settings.h"
#include "engine/base/clock.h"

namespace tidemill {

struct RedisServerReport {
  std::string version;                // "7.0.15"; empty if the server does not say
  std::vector<std::string> warnings;  // whole sentences: what may happen and what to do
};

// Connects, logs in, asks. Blocks up to `limit`. Throws Error(kConfig) if rows could never be
// written: wrong password, a replica, a cluster, a server older than 5.0; Error(kIo) if the server
// cannot be reached.
RedisServerReport check_redis_server(const RedisServerSettings& settings, const Clock& clock,
                                     std::chrono::milliseconds limit);

}  // namespace tidemill
