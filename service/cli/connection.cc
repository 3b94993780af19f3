#include "service/cli/connection.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <ostream>

#include "engine/base/error.h"
#include "service/cli/table.h"

namespace tidemill::cli {
namespace {

constexpr std::size_t kLongestToken = 4096;

// A variable, or nothing.
std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string address_of(const Invocation& invocation) {
  if (invocation.has("--at")) return invocation.text("--at");
  if (invocation.has("--server")) return invocation.text("--server");
  const std::string url = variable("TIDEMILL_SERVER");
  return url.empty() ? "http://127.0.0.1:8090" : url;
}

// Whether what is sent there never leaves this machine unencrypted.
bool stays_here(const std::string& url) {
  if (!url.starts_with("http://")) return true;  // TLS, or a socket
  const std::string rest = url.substr(7, url.find('/', 7) - 7);
  if (rest.starts_with("[")) return rest == "[::1]" || rest.starts_with("[::1]:");
  const std::string host = rest.substr(0, rest.find(':'));
  return host == "localhost" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

std::string token_for(const Invocation& invocation, const std::string& url) {
  if (invocation.has("--at")) return "";  // a job knows no tokens
  std::string file = invocation.text("--token-file");
  const std::string where = file.empty() ? "TIDEMILL_TOKEN_FILE" : "--token-file";
  if (file.empty()) file = variable("TIDEMILL_TOKEN_FILE");
  if (file.empty()) return "";
  std::ifstream in(file, std::ios::binary);
  std::string token(kLongestToken + 1, '\0');
  in.read(token.data(), static_cast<std::streamsize>(token.size()));
  token.resize(static_cast<std::size_t>(in.gcount()));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' '))
    token.pop_back();
  const bool is_token =
      !token.empty() && token.size() <= kLongestToken &&
      std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 127; });
  if (!is_token)
    throw Error(ErrorCode::kConfig, where + " is no file that holds one token: " + file +
                                        "; an admin makes one with tidemill token create");
  if (!stays_here(url))
    throw Error(ErrorCode::kConfig,
                "the token would cross the network in clear: " + url + "; use https://");
  return token;
}

http::ClientSettings settings_of(const Invocation& invocation, std::chrono::seconds answer_time) {
  http::ClientSettings settings;
  settings.timeout = answer_time;
  settings.token = token_for(invocation, address_of(invocation));
  settings.ca_file = invocation.text("--ca-file");
  return settings;
}

std::string next_of(int status, bool is_job) {
  if (status == 401) return "give --token-file FILE (or TIDEMILL_TOKEN_FILE)";
  if (status == 403) return "use the token of a role that may do this";
  if (status == 404 && is_job) return "is that address a Tidemill job's?";
  if (status == 404) return "tidemill list shows the jobs";
  if (status == 429) return "try again in some seconds";
  return "see the log of who answered";
}

}  // namespace

int exit_code_of(int http_status) {
  switch (http_status) {
    case 409: return 3;
    case 400:
    case 401:
    case 403:
    case 404:
    case 422: return 2;
    default: return http_status >= 200 && http_status < 300 ? 0 : 1;
  }
}

bool printed_whole(const Invocation& invocation, const Reply& reply) {
  if (!invocation.has("--json")) return false;
  invocation.out << reply.body << (reply.body.ends_with('\n') ? "" : "\n");
  return true;
}

Connection::Connection(const Invocation& invocation, std::chrono::seconds answer_time)
    : invocation_(invocation),
      is_job_(invocation.has("--at")),
      client_(address_of(invocation), settings_of(invocation, answer_time)) {}

Reply Connection::checked(const http::Request& request, const http::Response& response) const {
  const auto answer = Answer::parse(response.body);
  const std::string where = request.method + " " + client_.url() + request.path;
  if (exit_code_of(response.status) != 0) {
    std::string what = answer ? (*answer)["error"].text() : "";
    if (what.empty()) what = "the answer is an error without words";
    std::string next = answer ? (*answer)["next"].text() : "";
    if (next.empty()) next = next_of(response.status, is_job_);
    throw CallFailed(what + " (" + where + ": " + std::to_string(response.status) + ")",
                     std::move(next), exit_code_of(response.status), answer ? response.body : "");
  }
  if (!answer)
    throw CallFailed("the answer is no JSON (" + where + ")",
                     "is that the address of a Tidemill server or job?", 1);
  return {response.body, *answer};
}

Reply Connection::ask(const http::Request& request) const {
  try {
    return checked(request, client_.send(request));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kIo) throw;
    throw CallFailed(error.what(),
                     is_job_ ? "is the job running, and is this the address that its log names?"
                             : "is tidemill server running there? --server or TIDEMILL_SERVER "
                               "names another one, --at URL asks a job itself",
                     1);
  }
}

Reply Connection::send(const std::string& method, const std::string& path, std::string body) const {
  http::Request request;
  request.method = method;
  request.path = "/api/v1/" + path;
  request.body = std::move(body);
  if (!request.body.empty()) request.headers["content-type"] = "application/json";
  return ask(request);
}

Reply Connection::get(const std::string& path, std::map<std::string, std::string> query) const {
  http::Request request;
  request.path = "/api/v1/" + path;
  request.query = std::move(query);
  return ask(request);
}

std::string Connection::job() const {
  const std::string name = invocation_.text("JOB");
  const bool is_name = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
  }) && name.find_first_not_of('.') != std::string::npos;
  if (!is_name)
    throw Error(ErrorCode::kConfig, "a job's name has letters, digits, _, - and . only: " + name +
                                        "; tidemill list shows the jobs");
  return "jobs/" + name;
}

Reply Connection::of_job(const std::string& path, std::map<std::string, std::string> query) const {
  return get(is_job_ ? path : job() + "/" + path, std::move(query));
}

std::string Connection::upload(const std::filesystem::path& binary) const {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(binary, error);
  if (error || !std::filesystem::is_regular_file(binary))
    throw Error(ErrorCode::kConfig, "there is no program to upload at " + binary.string());
  http::Request request;
  request.method = "PUT";
  request.path = "/api/v1/binaries";
  request.headers["content-type"] = "application/octet-stream";
  const auto show = [&](std::uint64_t sent) {
    invocation_.err << "\ruploading " << binary.filename().string() << ": "
                    << bytes_text(static_cast<double>(sent)) << " of "
                    << bytes_text(static_cast<double>(size)) << "  " << std::flush;
  };
  const bool shows = invocation_.width != 0;
  const http::Response response = client_.send_file(
      request, binary, shows ? std::function<void(std::uint64_t)>(show) : nullptr);
  if (shows) invocation_.err << "\n";
  return checked(request, response).answer["sha256"].text();
}

}  // namespace tidemill::cli
