// What embed_page.py makes of web/dist.
#pragma once

#include <span>

#include "app/page.h"

namespace tidemill {

[[nodiscard]] std::span<const PageFile> page_files();

}  // namespace tidemill
