// Reads rows below a prefix, for those who compare them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/redis/settings.h"
#include "engine/base/clock.h"

namespace tidemill {

// Each key below `prefix`, without it, and its text; a key that comes or goes meanwhile may be
// among them or not, and one may come twice. Other types than texts are left out. Throws Error(kIo)
// if the server does not answer within response_timeout or the connection is lost, Error(kConfig).
void scan_redis_rows(const RedisServerSettings& server, const std::string& prefix,
                     const std::function<void(std::string_view key, std::string_view row)>& take,
                     const Clock& clock);

// The same without their rows, and of all types.
void scan_redis_keys(const RedisServerSettings& server, const std::string& prefix,
                     const std::function<void(std::string_view key)>& take, const Clock& clock);

// What these keys below `prefix` have: their text, nothing where there is no such key, and of a key
// of another type what the server says of that, which is no row. Throws as above.
void read_redis_rows(
    const RedisServerSettings& server, const std::string& prefix,
    const std::vector<std::string>& keys,
    const std::function<void(const std::string& key, std::optional<std::string_view> row)>& take,
    const Clock& clock);

// The pattern that SCAN takes for all keys with this prefix.
std::string redis_keys_below(std::string_view prefix);

}  // namespace tidemill
