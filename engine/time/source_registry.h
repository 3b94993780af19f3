// The event time of every source of one attempt, by source name: subtasks find their shared object
// here, and so does whoever reports progress.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "engine/time/source_watermarks.h"

namespace tidemill {

// Thread-safe.
class SourceRegistry {
 public:
  std::shared_ptr<SourceWatermarks> of(const std::string& source, const Clock& clock,
                                       std::optional<Duration> max_drift) {
    const std::lock_guard lock(mutex_);
    auto& slot = sources_[source];
    if (!slot) slot = std::make_shared<SourceWatermarks>(clock, max_drift);
    return slot;
  }
  [[nodiscard]] std::map<std::string, std::shared_ptr<SourceWatermarks>> all() const {
    const std::lock_guard lock(mutex_);
    return sources_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<SourceWatermarks>> sources_;
};

}  // namespace tidemill
