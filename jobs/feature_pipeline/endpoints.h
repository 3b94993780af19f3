// Where the main job's events come from and its rows go: the only part that knows connectors.
#pragma once

#include "app/environment.h"
#include "jobs/feature_pipeline/pipeline.h"
#include "operators/source.h"

namespace tidemill::features {

// Throws Error(kConfig) for settings that cannot work.
SourceStreams<UserEvent> add_events(Environment& env);
void add_sinks(Environment& env, const Stream<FeatureRow>& rows, const Stream<RejectedRecord>& late,
               const Stream<RejectedRecord>& bad, const FeatureWindows& windows);

}  // namespace tidemill::features
