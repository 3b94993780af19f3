// What an error reply of Redis calls for.
#pragma once

#include <cstdint>
#include <string_view>

namespace tidemill {

enum class RedisErrorKind : std::uint8_t {
  kTransient,  // the server cannot now (loading, out of memory, read-only after a fail-over): send
               // again later
  kNoScript,   // it has forgotten our script: load it, send again
  kRefused,    // it will never take it from us: password, permissions, a cluster
  kCommand,    // this one command is at fault
};

// `text` without the leading `-`.
[[nodiscard]] RedisErrorKind kind_of_redis_error(std::string_view text);

// What a person can do about it; empty if there is nothing to add to the server's own words.
[[nodiscard]] std::string_view advice_for_redis_error(std::string_view text);

}  // namespace tidemill
