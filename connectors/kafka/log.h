// Where this connector says what a person should know. Called from librdkafka's threads as well as
// from ours, so the function must be thread-safe; it must not throw.
#pragma once

#include <functional>
#include <string_view>

namespace tidemill::kafka {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

using LogFunction = std::function<void(LogLevel, std::string_view)>;

// Writes "kafka: text" lines to stderr, nothing below kInfo.
void log_to_stderr(LogLevel level, std::string_view text);

}  // namespace tidemill::kafka
