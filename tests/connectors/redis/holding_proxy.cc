#include "tests/connectors/redis/holding_proxy.h"

#include <arpa/inet.h>
#include <cerrno>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace tidemill {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

void close_end(int& end) {
  if (end >= 0) close(end);
  end = -1;
}

// What has come; closes the end if the peer has gone.
std::string take(int& end) {
  std::string all;
  char buffer[65536];
  while (end >= 0) {
    const ssize_t size = recv(end, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size > 0) {
      all.append(buffer, static_cast<std::size_t>(size));
      continue;
    }
    if (size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) close_end(end);
    break;
  }
  return all;
}

// The amounts of these tests fit the socket's buffer or are read at once by the other end.
void give(int& end, const std::string& bytes) {
  for (std::size_t sent = 0; end >= 0 && sent < bytes.size();) {
    const ssize_t size = send(end, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (size < 0) return close_end(end);
    sent += static_cast<std::size_t>(size);
  }
}

}  // namespace

HoldingProxy::HoldingProxy(std::uint16_t server_port) : server_port_(server_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, 16) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no port for the proxy");
  }
  port_ = ntohs(address.sin_port);
}

HoldingProxy::~HoldingProxy() {
  close_end(listener_);
  for (Pair& pair : pairs_) {
    close_end(pair.client);
    close_end(pair.server);
  }
}

void HoldingProxy::step() {
  for (int client = -1; (client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(server_port_);
    if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("no server behind the proxy");
    pairs_.push_back({.client = client, .server = server, .is_held = false, .held = {}});
  }
  for (Pair& pair : pairs_) {
    const std::string up = take(pair.client);
    if (pair.is_held) {
      pair.held += up;
    } else {
      give(pair.server, up);
      if (pair.client < 0) close_end(pair.server);
    }
    give(pair.client, take(pair.server));
    if (pair.server < 0) close_end(pair.client);
  }
}

void HoldingProxy::hold() {
  for (Pair& pair : pairs_) pair.is_held = true;
}

bool HoldingProxy::release() {
  bool was_open = false;
  for (Pair& pair : pairs_) {
    if (!pair.is_held) continue;
    was_open = was_open || pair.server >= 0;
    give(pair.server, pair.held);
    pair.held.clear();
    pair.is_held = false;
  }
  return was_open;
}

std::size_t HoldingProxy::held_bytes() const {
  std::size_t bytes = 0;
  for (const Pair& pair : pairs_) bytes += pair.held.size();
  return bytes;
}

}  // namespace tidemill
