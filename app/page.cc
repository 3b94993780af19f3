#include "app/page.h"

#include <algorithm>

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

std::optional<PageAnswer> page_answer(std::string_view path, std::string_view if_none_match,
                                      std::string_view accept_encoding) {
  const PageFile* file = page_file(path);
  if (file == nullptr) return std::nullopt;
  PageAnswer answer;
  answer.content_type = file->content_type;
  // A browser asks each time whether it still has the right one: a new program shows its own page.
  answer.headers = {
      {"Cache-Control", "no-cache"},         {"ETag", file->etag},
      {"Vary", "Accept-Encoding"},           {"Content-Security-Policy", kContentSecurityPolicy},
      {"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "no-referrer"}};
  if (if_none_match.find(file->etag) != if_none_match.npos) {
    answer.status = 304;
  } else if (takes_gzip(accept_encoding)) {
    answer.headers.emplace_back("Content-Encoding", "gzip");
    answer.body = file->gzip;
  } else {
    answer.body = file->bytes;
  }
  return answer;
}

}  // namespace tidemill
