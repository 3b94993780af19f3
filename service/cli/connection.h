// Asks the server, or one job, that an invocation names.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include "http/client.h"
#include "service/cli/answer.h"
#include "service/cli/verbs.h"

namespace tidemill::cli {

// An answer that is an error, in words, with the next step and the exit code it leads to.
class CallFailed : public std::runtime_error {
 public:
  CallFailed(const std::string& what, std::string next, int exit_code, std::string body = "")
      : std::runtime_error(what),
        next_(std::move(next)),
        exit_code_(exit_code),
        body_(std::move(body)) {}
  [[nodiscard]] const std::string& next() const { return next_; }
  [[nodiscard]] int exit_code() const { return exit_code_; }
  [[nodiscard]] const std::string& body() const { return body_; }  // as it came; may be empty

 private:
  std::string next_;
  int exit_code_;
  std::string body_;
};

// 409 is 3 (refused for safety), what was asked wrongly 2, all else 1.
[[nodiscard]] int exit_code_of(int http_status);

struct Reply {
  std::string body;
  Answer answer;
};

// Prints an answer as it came if --json asks for that; false: it does not.
bool printed_whole(const Invocation& invocation, const Reply& reply);

// Outputs are compared for at most five minutes.
inline constexpr std::chrono::seconds kComparisonTime{310};

class Connection {
 public:
  // Throws Error(kConfig): no address, a token's file that cannot be read, a token that would cross
  // the network in clear.
  // `answer_time`: of any question; a savepoint is answered once it is committed.
  explicit Connection(const Invocation& invocation,
                      std::chrono::seconds answer_time = std::chrono::seconds(90));

  // "jobs/JOB", checked.
  [[nodiscard]] std::string job() const;
  // Of a job: "status" is /api/v1/jobs/JOB/status of the server, /api/v1/status of the job itself.
  [[nodiscard]] Reply of_job(const std::string& path,
                             std::map<std::string, std::string> query = {}) const;
  [[nodiscard]] Reply get(const std::string& path,
                          std::map<std::string, std::string> query = {}) const;
  // `path`: below /api/v1.
  [[nodiscard]] Reply send(const std::string& method, const std::string& path,
                           std::string body) const;
  // The SHA-256 under which the server keeps this program. Shows progress on a terminal.
  [[nodiscard]] std::string upload(const std::filesystem::path& binary) const;

 private:
  [[nodiscard]] Reply ask(const http::Request& request) const;
  [[nodiscard]] Reply checked(const http::Request& request, const http::Response& response) const;

  const Invocation& invocation_;
  bool is_job_ = false;
  http::Client client_;
};

}  // namespace tidemill::cli
