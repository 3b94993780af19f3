// An HTTP/1.1 server on a TCP port, with TLS if a certificate is given, or on a Unix socket. Sizes,
// times and numbers are bounded, so that no peer can hold more than its part.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "http/message.h"

namespace tidemill::http {

struct ServerSettings {
  std::string address = "127.0.0.1:0";  // "[::1]:8080", "unix:/path"; port 0: any
  int ports_tried = 1;                  // the port and those after it
  std::filesystem::path certificate;    // PEM, the chain; with `key`: TLS 1.2 and later
  std::filesystem::path key;
  std::size_t max_header_bytes = std::size_t{16} << 10;
  std::size_t max_body_bytes = std::size_t{1} << 20;
  std::size_t max_connections = 256;  // more are closed at once
  int threads = 2;                    // that call the handler; one more does the input and output
  std::chrono::milliseconds header_time{10'000};
  std::chrono::milliseconds body_time{60'000};  // of an upload: without progress
  std::chrono::milliseconds idle_time{30'000};  // between two requests of a connection
};

// Takes the body into this file, which is made anew, instead of into memory. It is gone when the
// request is over, unless `answer` has given it another name.
struct Upload {
  std::filesystem::path file;
  std::uint64_t max_bytes = 0;
};
using Admission = std::variant<std::monostate, Response, Upload>;

// Called from the server's threads at the same time; may block. What it throws is answered by 500
// with the text of the error's first line hidden: handlers say what may be seen.
struct Callbacks {
  std::function<Response(const Request&)> answer;
  // With the head only, before a body is read: a Response ends the request. May be empty.
  std::function<Admission(const Request& head)> admit;
  // Told of what `answer` threw. May be empty.
  std::function<void(const Request&, const std::string& error)> failed;
};

class Server {
 public:
  // Takes no more connections, waits at most two seconds for answers under way, and stops.
  virtual ~Server() = default;
  [[nodiscard]] virtual std::string address() const = 0;  // "127.0.0.1:8081", "unix:/path"
};

// Serves until destroyed. Without TLS on a loopback address the Host of a request must be a number
// or localhost, so that no page of elsewhere reads the answer by a name that leads here. A Unix
// socket gets mode 0600; a file left by a dead server is replaced. Throws Error(kConfig): no such
// address, no free port, another process answers on the socket, a certificate that cannot be used.
[[nodiscard]] std::unique_ptr<Server> serve(ServerSettings settings, Callbacks callbacks);

// Of "ADDR:PORT" or "unix:…": whether only this machine can reach it. Throws Error(kConfig) for
// what is neither.
[[nodiscard]] bool is_loopback(const std::string& address);

}  // namespace tidemill::http
