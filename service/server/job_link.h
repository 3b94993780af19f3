// How a running job is asked: over the Unix socket in its folder.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

#include "service/server/job_folder.h"

namespace tidemill::server {

struct JobQuestion {
  std::string method = "GET";
  std::string path;  // "/api/v1/status"
  std::map<std::string, std::string> query = {};
  std::string body = {};
  std::chrono::milliseconds time = std::chrono::seconds(2);
};

struct JobAnswer {
  int status = 0;
  std::string content_type;
  std::string body;
};

// Thread-safe. Throws Error(kIo) if nobody answers in that time.
using AskJob = std::function<JobAnswer(const JobFolder&, const JobQuestion&)>;

// Asks with http::Client.
[[nodiscard]] AskJob ask_over_socket();

}  // namespace tidemill::server
