// How to reach a Redis server; what to do while it cannot be reached.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/time.h"

namespace tidemill {

struct RedisServerSettings {
  std::string url = "redis://127.0.0.1:6379/0";  // see address.h; rediss:// is TLS
  // Login, instead of in the URL. The password comes from a file (its first line) or from an
  // environment variable; the user is optional.
  std::string user = "";
  std::string password_file = "";
  std::string password_env = "";
  // TLS: whom to trust instead of the system's authorities (PEM), and who we are if the server asks
  // (PEM). The certificate must be for the host of the URL.
  std::string ca_file = "";
  std::string certificate_file = "";
  std::string key_file = "";

  Duration connect_timeout = 5s;  // to connect, negotiate TLS and log in
  Duration response_timeout =
      30s;  // without an answer to what was sent: the connection is taken for dead
  Duration backoff_min =
      50ms;  // between attempts to connect: doubles up to the greatest, with jitter
  Duration backoff_max = 5s;
};

}  // namespace tidemill
