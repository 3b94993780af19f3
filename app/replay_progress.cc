#include "app/replay_progress.h"

#include <algorithm>

namespace tidemill {

ReplayProgress replay_progress(const ReplayFacts& f) {
  ReplayProgress p{f.from_ms, f.until_ms, f.watermark_ms, std::nullopt, std::nullopt};
  if (f.is_finished) {
    if (!p.at_ms) p.at_ms = f.until_ms;
    p.percent = 100;
    p.eta_s = 0;
    return p;
  }
  if (!f.from_ms || !f.until_ms || !f.watermark_ms || *f.until_ms <= *f.from_ms) return p;
  const auto done = static_cast<double>(*f.watermark_ms - *f.from_ms);
  const auto all = static_cast<double>(*f.until_ms - *f.from_ms);
  p.percent = std::clamp(100 * done / all, 0.0, 100.0);
  if (f.speed.value_or(0) > 0) p.eta_s = std::max(0.0, all - done) / 1000 / *f.speed;
  return p;
}

}  // namespace tidemill
