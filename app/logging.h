// Sends the engine's log lines to stderr, as text or one JSON object a line.
#pragma once

#include <string>

namespace tidemill {

// `level`: debug, info, warn, error; `format`: text, json. Throws Error(kConfig) for anything else.
// Call before threads start; again for another job of the same process.
void set_up_logging(const std::string& level, const std::string& format);

// Everything on stderr is one JSON object a line.
bool logs_json();

}  // namespace tidemill
