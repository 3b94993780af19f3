// Sends the engine's log lines to stderr, as text or one JSON object a line.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace tidemill {

// `level`: debug, info, warn, error; `format`: text, json. Throws Error(kConfig) for anything else.
// Call before threads start; again for another job of the same process.
void set_up_logging(const std::string& level, const std::string& format);

// The last lines that were logged in this process, the oldest first. Thread-safe.
inline constexpr std::size_t kLogLinesKept = 2000;
std::vector<std::string> recent_log_lines(std::size_t most);

// Everything on stderr is one JSON object a line.
bool logs_json();

}  // namespace tidemill
