// The server's answers to requests: who asks (tokens), how often (limits), may they (roles), and
// the record of every change (audit) around the calls of routes.h.
#pragma once

#include <memory>

#include "http/server.h"
#include "service/server/routes.h"

namespace tidemill::server {

struct ApiSettings {
  double requests_per_second = 200;  // of each token, and of each peer without
  double burst = 400;
};

// Thread-safe. What is passed by reference outlives it.
class Api {
 public:
  Api(ApiSettings settings, Service& service);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  [[nodiscard]] http::Callbacks handler();
  [[nodiscard]] http::Response answer(const http::Request& request);
  // Refuses what needs no body to be refused; says where an upload goes.
  [[nodiscard]] http::Admission admit(const http::Request& head);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tidemill::server
