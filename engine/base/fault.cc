#include "engine/base/fault.h"

#ifdef TIDEMILL_TESTING
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>

namespace tidemill::fault {

void crash_point(const char* point) {
  static const std::string wanted = [] {
    const char* text = std::getenv("TIDEMILL_CRASH_AT");
    return std::string(text == nullptr ? "" : text);
  }();
  if (wanted.empty()) return;
  const std::size_t colon = wanted.find(':');
  if (std::string_view(wanted).substr(0, colon) != point) return;
  static std::mutex mutex;
  static long hits = 0;
  const std::lock_guard lock(mutex);
  const long at =
      colon == std::string::npos ? 1 : std::strtol(wanted.c_str() + colon + 1, nullptr, 10);
  if (++hits == at) std::raise(SIGKILL);
}

bool is_broken(const char* rule) {
  const char* text = std::getenv("TIDEMILL_BREAK");
  if (text == nullptr) return false;
  std::string_view rest(text);
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    if (rest.substr(0, comma) == rule) return true;
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace tidemill::fault
#endif
