#include "service/server/job_link.h"

#include "http/client.h"

namespace tidemill::server {

AskJob ask_over_socket() {
  return [](const JobFolder& folder, const JobQuestion& question) -> JobAnswer {
    http::ClientSettings settings;
    settings.timeout = question.time;
    const http::Client client("unix:" + folder.control_socket().string(), settings);
    http::Request request;
    request.method = question.method;
    request.path = question.path;
    request.query = question.query;
    request.body = question.body;
    if (!question.body.empty()) request.headers["content-type"] = "application/json";
    http::Response response = client.send(request);
    return {response.status, std::move(response.content_type), std::move(response.body)};
  };
}

}  // namespace tidemill::server
