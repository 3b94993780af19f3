// The page (web/): its files, built into every program.
#pragma once

#include <optional>
#include <string_view>

#include "http/message.h"

namespace tidemill {

// Sent with every file of the page: scripts and styles come from where the page comes from, and
// nothing else does.
inline constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

// Views of what lives as long as the process. Any thread may use it.
struct PageFile {
  std::string_view path;  // "/app.js"
  std::string_view content_type;
  std::string_view etag;   // with its quotes
  std::string_view bytes;  // as they are
  std::string_view gzip;   // the same, compressed: for who sends Accept-Encoding: gzip
};

// The file at this path of a request, "/" being index.html; null: the page has none there.
[[nodiscard]] const PageFile* page_file(std::string_view path);

// The answer to a GET of a file of the page; nothing if the page has none at that path. The server
// of http/ leaves the body out for HEAD.
[[nodiscard]] std::optional<http::Response> page_response(const http::Request& request);

}  // namespace tidemill
