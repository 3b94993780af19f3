// The page (web/): its files, built into every program.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

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

// What a server answers to GET of a file of the page. Its headers go with every status.
struct PageAnswer {
  int status = 200;  // 304: the browser has it
  std::string_view content_type;
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  std::string_view body;
};

// By the request's path and its headers If-None-Match and Accept-Encoding (empty: it has none).
// Nothing: the page has no file there.
[[nodiscard]] std::optional<PageAnswer> page_answer(std::string_view path,
                                                    std::string_view if_none_match,
                                                    std::string_view accept_encoding);

}  // namespace tidemill
