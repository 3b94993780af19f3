#include "app/page.h"

#include <algorithm>

#include "app/page_files.h"

namespace tidemill {

const PageFile* page_file(std::string_view path) {
  if (path == "/") path = "/index.html";
  const auto files = page_files();
  const auto found =
      std::find_if(files.begin(), files.end(), [&](const PageFile& f) { return f.path == path; });
  return found == files.end() ? nullptr : &*found;
}

}  // namespace tidemill
