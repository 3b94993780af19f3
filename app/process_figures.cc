#include "app/process_figures.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

namespace tidemill {
namespace {

// Field N of /proc/self/stat (proc(5)) is at N - 3: what comes before, the name, may hold spaces.
std::vector<std::string> stat_fields() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t end_of_name = line.rfind(')');
  if (end_of_name == std::string::npos) return {};
  std::istringstream rest(line.substr(end_of_name + 1));
  return {std::istream_iterator<std::string>(rest), {}};
}

std::optional<double> boot_seconds() {
  std::ifstream file("/proc/stat");
  std::string word;
  while (file >> word) {
    double seconds = 0;
    if (word == "btime" && file >> seconds) return seconds;
  }
  return std::nullopt;
}

}  // namespace

ProcessFigures process_figures() {
  ProcessFigures figures;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  if (const auto fields = stat_fields(); fields.size() > 21) {
    const auto field = [&](std::size_t number) { return std::stod(fields[number - 3]); };
    figures.cpu_seconds = (field(14) + field(15)) / ticks;
    if (const auto boot = boot_seconds()) figures.start_seconds = *boot + field(22) / ticks;
    figures.virtual_bytes = field(23);
    figures.resident_bytes = field(24) * page;
  }
  std::error_code failed;
  const std::filesystem::directory_iterator fds("/proc/self/fd", failed);
  // One of them is the folder that is being read.
  if (!failed) figures.open_fds = static_cast<double>(std::distance(begin(fds), end(fds)) - 1);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0)
    figures.max_fds = static_cast<double>(limit.rlim_cur);
  return figures;
}

}  // namespace tidemill
