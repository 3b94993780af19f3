// What each metric means, in a line: the HELP of /metrics.
#pragma once

#include <string>
#include <string_view>

namespace tidemill {

// Of a metric that an operator of a user's own counts, a line that says so.
[[nodiscard]] std::string help_of(std::string_view metric);

}  // namespace tidemill
