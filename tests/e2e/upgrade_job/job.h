// A job that counts the lines of a growing file, in versions that keep their counts in other ways.
#pragma once

#include <string_view>

namespace tidemill {

// `version`: first, longer (one field more), text (the count is a text), renamed (another
// operator).
int run_upgrade_job(std::string_view version, int argc, char** argv);

}  // namespace tidemill
