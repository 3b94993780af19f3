#include "engine/base/log.h"

#include <cstdio>
#include <utility>

namespace tidemill {
namespace {

std::function<void(LogLevel, const std::string&)>& sink() {
  static std::function<void(LogLevel, const std::string&)> current;
  return current;
}

}  // namespace

void log(LogLevel level, const std::string& message) {
  if (sink()) {
    sink()(level, message);
    return;
  }
  static constexpr const char* kNames[] = {"debug", "info", "warning", "error"};
  std::fprintf(stderr, "%s: %s\n", kNames[static_cast<int>(level)], message.c_str());
}

void set_log_sink(std::function<void(LogLevel, const std::string&)> s) { sink() = std::move(s); }

}  // namespace tidemill
