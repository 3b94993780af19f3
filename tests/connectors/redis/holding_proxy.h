// A TCP proxy that can keep back what a client has sent, even after the client has gone: a network
// that delivers late. One thread: it moves bytes only in `step`.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tidemill {

class HoldingProxy {
 public:
  explicit HoldingProxy(std::uint16_t server_port);
  ~HoldingProxy();
  HoldingProxy(const HoldingProxy&) = delete;
  HoldingProxy& operator=(const HoldingProxy&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  void step();

  // From now on the connections there are now deliver nothing to the server; those to come do.
  void hold();
  // Delivers what was held. True if the server's end of some held connection was still open.
  bool release();
  [[nodiscard]] std::size_t held_bytes() const;

 private:
  struct Pair {
    int client = -1;
    int server = -1;
    bool is_held = false;
    std::string held;
  };

  const std::uint16_t server_port_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::vector<Pair> pairs_;
};

}  // namespace tidemill
