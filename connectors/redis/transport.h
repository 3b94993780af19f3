// One attempt at one TCP or TLS connection: bytes in, bytes out, nothing ever blocks. Made to be
// thrown away: after a failure a new one is built. Boost.Asio and OpenSSL stay out of this header.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "connectors/redis/address.h"
#include "connectors/redis/settings.h"

namespace tidemill {

// One thread. Resolving a host name uses a thread of the system's resolver, which the destructor
// waits for.
class RedisTransport {
 public:
  enum class State : std::uint8_t { kConnecting, kOpen, kClosed };

  // Starts to connect. Throws Error(kConfig) if a certificate or key file cannot be used.
  RedisTransport(const RedisAddress& address, const RedisServerSettings& settings);
  ~RedisTransport();
  RedisTransport(const RedisTransport&) = delete;
  RedisTransport& operator=(const RedisTransport&) = delete;

  // Moves bytes, as far as it goes without waiting.
  void poll();
  // The same, but waits up to `limit` for something to happen. For start-up checks and tests.
  void wait(std::chrono::milliseconds limit);

  [[nodiscard]] State state() const;
  // Why it is closed, for people.
  [[nodiscard]] const std::string& error() const;
  // True if the peer was reached but is not whom we trust: trying again will not help.
  [[nodiscard]] bool is_untrusted() const;

  // Bytes to be sent: append to it; `poll` takes them.
  std::string& outgoing();
  // What has come since `clear_incoming`.
  [[nodiscard]] std::string_view incoming() const;
  void clear_incoming();

 private:
  class Connection;
  std::unique_ptr<Connection> connection_;
};

}  // namespace tidemill
