// Where a Redis server is and how to log in: the parsed form of a `redis://` or `rediss://` (TLS)
// URL.
//   redis://[[user]:password@]host[:port][/database]
// User and password are percent-decoded; an IPv6 host stands in brackets; port 6379 and database 0
// are the defaults.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidemill {

struct RedisAddress {
  std::string host;
  std::uint16_t port = 6379;
  std::int32_t database = 0;
  bool is_tls = false;
  std::string user;      // empty: the default user
  std::string password;  // empty: no AUTH

  // For messages and logs: never shows user or password. "rediss://cache.example:6379/0"
  [[nodiscard]] std::string text() const;
};

// Throws Error(kConfig) that says which part of the URL is wrong, without repeating a password.
RedisAddress parse_redis_url(std::string_view url);

}  // namespace tidemill
