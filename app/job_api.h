// A running job's own HTTP port and control socket: which request is answered by what. What may
// change the job is answered on the socket only, which none but its owner can open.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "http/message.h"
#include "http/server.h"

namespace tidemill {

// {"error": …, "next": …}
[[nodiscard]] http::Response error_response(int status, const std::string& error,
                                            const std::string& next);
[[nodiscard]] http::Response json_response(std::string body, int status = 200);

// Filled on one thread; then any may call `respond`.
class JobApi {
 public:
  using Answer = std::function<http::Response(const http::Request&)>;
  enum class Where { kEverywhere, kSocketOnly };

  // `path`: "/api/v1/status"; a last part "*" stands for one that is not empty. The answer may
  // throw Error: kConfig gives 422, kRefused 409, others 500.
  void add(const std::string& method, const std::string& path, Where where, Answer answer);
  void get(const std::string& path, Answer answer) {
    add("GET", path, Where::kEverywhere, std::move(answer));
  }
  void post(const std::string& path, Answer answer) {
    add("POST", path, Where::kSocketOnly, std::move(answer));
  }

  // HEAD is GET. Answers 404, 405, 403 with what there is instead.
  [[nodiscard]] http::Response respond(const http::Request& request) const;

 private:
  struct Route {
    std::string method;
    std::string path;
    Where where;
    Answer answer;
  };
  std::vector<Route> routes_;
};

// Throws Error(kConfig) for what the two below would not take.
void check_http_address(const std::string& where);
void check_control_path(const std::string& path);

// `where`: "ADDR:PORT" (that port or the next free one of ten; 0: any) or "none" (gives null). Only
// loopback addresses are taken: there is no TLS and no token here. Throws Error(kConfig). `api`
// outlives the server.
[[nodiscard]] std::unique_ptr<http::Server> serve_job(const std::string& where, const JobApi& api);
// On a Unix socket that only this user can open; an empty path gives null.
[[nodiscard]] std::unique_ptr<http::Server> serve_control(const std::string& path,
                                                          const JobApi& api);

}  // namespace tidemill
