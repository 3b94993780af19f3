// An HTTP/1.1 client for small answers, uploads and streams of events.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace tidemill::http {

struct ClientSettings {
  std::chrono::milliseconds timeout{30'000};  // of a request; of an upload or stream: without bytes
  std::string token;                          // sent as bearer token if not empty
  std::filesystem::path ca_file;              // PEM; empty: the system's
  std::size_t max_body_bytes = std::size_t{64} << 20;
};

// One request a connection. One thread at a time. All calls throw Error(kIo) if there is no answer;
// an answer of any status is returned.
class Client {
 public:
  // "http://host:port", "https://host:port", "unix:/path". Throws Error(kConfig).
  explicit Client(const std::string& url, ClientSettings settings = {});

  [[nodiscard]] Response send(const Request& request) const;
  // `progress(bytes sent)` after each piece; may be empty.
  [[nodiscard]] Response send_file(const Request& request, const std::filesystem::path& file,
                                   const std::function<void(std::uint64_t)>& progress = {}) const;
  // Each event's data until `take` gives false or the server ends; gives the response's head, and
  // its body if it was no stream of events.
  [[nodiscard]] Response events(const Request& request,
                                const std::function<bool(std::string_view)>& take) const;

  [[nodiscard]] const std::string& url() const { return url_; }

 private:
  std::string url_;
  ClientSettings settings_;
  enum class Scheme { kTcp, kTls, kUnix } scheme_ = Scheme::kTcp;
  std::string host_;
  std::string port_;
  std::string base_;  // path before that of every request

  [[nodiscard]] const std::string& host_of_requests() const;
  template <class Do>
  auto with_stream(Do&& act) const;
};

}  // namespace tidemill::http
