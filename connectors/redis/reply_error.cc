#include "connectors/redis/reply_error.h"

#include <algorithm>
#include <array>

namespace tidemill {
namespace {

struct Known {
  std::string_view code;
  RedisErrorKind kind;
  std::string_view advice;
};

constexpr std::string_view kCluster =
    "the server is part of a Redis Cluster, which this sink does not support; use a server in "
    "standalone mode";

constexpr std::array kKnown = {
    Known{"LOADING", RedisErrorKind::kTransient, ""},
    Known{"MASTERDOWN", RedisErrorKind::kTransient, ""},
    Known{"BUSY", RedisErrorKind::kTransient, ""},
    Known{"TRYAGAIN", RedisErrorKind::kTransient, ""},
    Known{"NOREPLICAS", RedisErrorKind::kTransient,
          "fewer replicas are connected than min-replicas-to-write asks for"},
    Known{"MISCONF", RedisErrorKind::kTransient, "the server cannot save its data to disk"},
    Known{"READONLY", RedisErrorKind::kTransient,
          "the server is a replica; the URL must name the primary"},
    Known{"OOM", RedisErrorKind::kTransient,
          "raise the server's maxmemory, or shorten the ttl of the sink"},
    Known{"NOSCRIPT", RedisErrorKind::kNoScript, ""},
    Known{"NOAUTH", RedisErrorKind::kRefused,
          "the server wants a password: set password_file or password_env"},
    Known{"WRONGPASS", RedisErrorKind::kRefused, "check user and password"},
    Known{"NOPERM", RedisErrorKind::kRefused,
          "allow the user the commands and keys named in the sink's README"},
    Known{"MOVED", RedisErrorKind::kRefused, kCluster},
    Known{"ASK", RedisErrorKind::kRefused, kCluster},
    Known{"CROSSSLOT", RedisErrorKind::kRefused, kCluster},
    Known{"CLUSTERDOWN", RedisErrorKind::kRefused, kCluster},
};

const Known* find(std::string_view text) {
  // Before version 7 an error inside a script comes wrapped: "ERR Error running script (…):
  // @user_script:3: -OOM command …".
  if (text.starts_with("ERR Error running script")) {
    const std::size_t inner = text.rfind(": -");
    if (inner != std::string_view::npos) text.remove_prefix(inner + 3);
  }
  const std::string_view code = text.substr(0, text.find(' '));
  const auto* found = std::find_if(kKnown.begin(), kKnown.end(),
                                   [&](const Known& known) { return known.code == code; });
  return found == kKnown.end() ? nullptr : found;
}

}  // namespace

RedisErrorKind kind_of_redis_error(std::string_view text) {
  if (text.starts_with("ERR max number of clients")) return RedisErrorKind::kTransient;
  const Known* known = find(text);
  return known == nullptr ? RedisErrorKind::kCommand : known->kind;
}

std::string_view advice_for_redis_error(std::string_view text) {
  const Known* known = find(text);
  return known == nullptr ? "" : known->advice;
}

}  // namespace tidemill
