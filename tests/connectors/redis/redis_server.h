// A real redis-server of the test's own: random loopback port, no persistence, gone with the
// object. Killed and started again, it is empty and on the same port.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace tidemill {

// True as soon as `condition` holds; false if it does not within `limit`. It is asked again and
// again, without pause: what it waits for is moved on by the condition itself.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds limit = std::chrono::seconds(20));

std::uint16_t free_port();

class RedisServer {
 public:
  // More arguments for the server, as {"--maxmemory", "2mb"}.
  explicit RedisServer(std::vector<std::string> arguments = {});
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  void start();
  void kill();
  void freeze() const;  // SIGSTOP
  void thaw() const;
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string url(const std::string& login = "") const;
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  [[nodiscard]] bool answers() const;

  const std::vector<std::string> arguments_;
  const std::uint16_t port_;
  std::filesystem::path folder_;
  pid_t child_ = -1;
};

// A connection of the test's own, over hiredis: blocking, independent of the code under test.
// Throws std::runtime_error.
class PlainClient {
 public:
  explicit PlainClient(std::uint16_t port, const std::string& password = "");
  ~PlainClient();
  PlainClient(const PlainClient&) = delete;
  PlainClient& operator=(const PlainClient&) = delete;

  // Texts as they are, integers in digits, nil as nothing; lists joined by blanks. Throws on an
  // error reply.
  std::optional<std::string> ask(const std::vector<std::string>& command);
  std::optional<std::string> get(const std::string& key) { return ask({"GET", key}); }

 private:
  void* context_;
};

}  // namespace tidemill
