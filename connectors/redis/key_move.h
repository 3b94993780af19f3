// The hand-over of a job's keys to a new version (docs/decisions/0005_promotion.md): the replay
// wrote its rows under a prefix of its own; now each key gets the replay's row, once, and no row of
// the old version ever comes back.
#pragma once

#include <cstdint>
#include <string>

#include "connectors/redis/settings.h"
#include "engine/base/clock.h"

namespace tidemill {

struct RedisKeyMove {
  RedisServerSettings server = {};
  std::string job = "";     // whose keys; its older processes may not write any more
  std::string replay = "";  // whose rows; the same
  std::string id = "";      // of this hand-over: the same id goes on where it was interrupted
  std::string prefix = "";  // of the job's keys, which are all of this prefix; not empty
  std::string replay_prefix = "";  // instead of it, of the replay's
  std::string kept_prefix = "";    // instead of it: where the old rows are kept; empty: nowhere
};

struct RedisKeysMoved {
  std::uint64_t removed = 0;  // of the old version, without a successor
  std::uint64_t moved = 0;
  bool was_done = false;  // by an earlier call
};

// Throws Error(kConfig) if these cannot be handed over, which is to be said before anything is
// decided.
void check_redis_key_move(const RedisKeyMove& move);

// Requires: neither the job nor the replay runs. Any number of times with the same result; when it
// throws, or the process is killed, the next call goes on. Waits for a server that is away, but no
// longer than its response_timeout without an answer. Throws Error(kIo), Error(kConfig).
RedisKeysMoved move_redis_keys(const RedisKeyMove& move, const Clock& clock);

// The key that says since when (ms) older processes of a job may not write.
std::string redis_fence_key(const std::string& job);

}  // namespace tidemill
