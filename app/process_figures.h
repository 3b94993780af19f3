// What the kernel knows of this process, as every program that Prometheus scrapes tells it.
#pragma once

#include <optional>

namespace tidemill {

// Nothing where /proc does not say.
struct ProcessFigures {
  std::optional<double> cpu_seconds;
  std::optional<double> resident_bytes;
  std::optional<double> virtual_bytes;
  std::optional<double> open_fds;
  std::optional<double> max_fds;
  std::optional<double> start_seconds;  // since the epoch
};

[[nodiscard]] ProcessFigures process_figures();

}  // namespace tidemill
