// What a running job answers besides its API: /metrics (Prometheus text) and /late.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/metrics.h"
#include "engine/time/source_watermarks.h"

namespace tidemill {

using EventTimeOfSources = std::map<std::string, std::shared_ptr<SourceWatermarks>>;

// The registry's content, and who holds back the watermark of each source, in Prometheus' text
// format.
std::string prometheus_text(const MetricRegistry& metrics, const EventTimeOfSources& event_time,
                            const Clock& clock);

// The latest late records of every operator as an array of objects; of each subtask the oldest
// first.
std::string late_records_json(const MetricRegistry& metrics);

}  // namespace tidemill
