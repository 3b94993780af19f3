// Log lines of the engine: rare, never per record. Where they go is decided once at start-up by
// whoever runs the job (text or JSON on stderr through spdlog in our programs); until then they go
// to stderr as they are.
#pragma once

#include <functional>
#include <string>

namespace tidemill {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// Thread-safe.
void log(LogLevel level, const std::string& message);
// Not thread-safe: call before anything logs.
void set_log_sink(std::function<void(LogLevel, const std::string&)> sink);

}  // namespace tidemill
