// How far a replay has come in event time.
#pragma once

#include <cstdint>
#include <optional>

namespace tidemill {

struct ReplayProgress {
  std::optional<std::int64_t> from_ms;   // where it began
  std::optional<std::int64_t> until_ms;  // where it ends; nothing: not known as a time
  std::optional<std::int64_t> at_ms;
  std::optional<double> percent;
  std::optional<double> eta_s;
};

struct ReplayFacts {
  std::optional<std::int64_t> from_ms;
  std::optional<std::int64_t> until_ms;
  std::optional<std::int64_t> watermark_ms;  // nothing: no event time yet
  bool is_finished = false;                  // its input has ended
  std::optional<double> speed;               // seconds of event time in a second, of late
};

// Pure.
[[nodiscard]] ReplayProgress replay_progress(const ReplayFacts& facts);

}  // namespace tidemill
