// The whole public face of the job's logic: streams in, streams out; no topics, no addresses.
#pragma once

#include <string>
#include <vector>

#include "jobs/feature_pipeline/features.h"
#include "operators/keyed_stream.h"

namespace tidemill::features {

struct FeatureWindows {
  std::vector<std::string> names;  // as configured: "5m", "1h", "24h"
  std::vector<Trailing> windows;
  std::size_t largest = 0;
};

// `events` have been judged for lateness at the source.
Stream<FeatureRow> build(const Stream<UserEvent>& events, const FeatureWindows& windows,
                         const TrailingOptions& options);

}  // namespace tidemill::features
