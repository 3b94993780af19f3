// What HTTP carries, as plain data: requests, responses, streams of events.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidemill::http {

struct Request {
  std::string method = "GET";
  std::string path = "/";                      // decoded, without the query
  std::map<std::string, std::string> query;    // decoded; of a repeated name the last
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string peer;              // of a server: "127.0.0.1", or "unix"
  std::filesystem::path upload;  // of a server: the file that has the body, if one was named

  // Empty if there is none.
  [[nodiscard]] std::string header(const std::string& lower_name) const {
    const auto at = headers.find(lower_name);
    return at == headers.end() ? std::string() : at->second;
  }
};

// Server-sent events: `next` is asked once an interval for one event's data (on a thread of the
// server; may block shortly). Nothing: only a sign of life is sent. Ends when the client goes.
struct EventStream {
  std::chrono::milliseconds every{1000};
  std::function<std::string()> next;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::optional<EventStream> events = {};  // instead of a body
};

// A target's path and query, decoded; nothing if the escapes are wrong or decode to a NUL.
struct Target {
  std::string path;
  std::map<std::string, std::string> query;
};
[[nodiscard]] std::optional<Target> parse_target(std::string_view target);
// Path and query, with escapes.
[[nodiscard]] std::string format_target(const Target& target);

}  // namespace tidemill::http
