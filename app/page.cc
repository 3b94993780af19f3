#include "app/page.h"

#include <algorithm>
#include <string>

#include "app/page_files_internal.h"

namespace tidemill {
namespace {

// "gzip" in a list such as "gzip, deflate;q=0.5"; "gzip;q=0" is a no.
bool takes_gzip(std::string_view accept_encoding) {
  while (!accept_encoding.empty()) {
    std::string_view one = accept_encoding.substr(0, accept_encoding.find(','));
    accept_encoding.remove_prefix(std::min(accept_encoding.size(), one.size() + 1));
    one.remove_prefix(std::min(one.size(), one.find_first_not_of(' ')));
    const std::string_view name = one.substr(0, one.find_first_of("; "));
    if (name == "gzip") return one.find_first_of("123456789") != one.npos || !one.ends_with("0");
  }
  return false;
}

}  // namespace

const PageFile* page_file(std::string_view path) {
  if (path == "/") path = "/index.html";
  const auto files = page_files();
  const auto found =
      std::find_if(files.begin(), files.end(), [&](const PageFile& f) { return f.path == path; });
  return found == files.end() ? nullptr : &*found;
}

std::optional<http::Response> page_response(const http::Request& request) {
  const PageFile* file = page_file(request.path);
  if (file == nullptr) return std::nullopt;
  http::Response response;
  response.content_type = file->content_type;
  // A browser asks each time whether it still has the right one: a new program shows its own page.
  response.headers = {{"Cache-Control", "no-cache"},
                      {"ETag", std::string(file->etag)},
                      {"Vary", "Accept-Encoding"},
                      {"Content-Security-Policy", std::string(kContentSecurityPolicy)},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"}};
  if (request.header("if-none-match").find(file->etag) != std::string::npos) {
    response.status = 304;
  } else if (takes_gzip(request.header("accept-encoding"))) {
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.body = file->gzip;
  } else {
    response.body = file->bytes;
  }
  return response;
}

}  // namespace tidemill
