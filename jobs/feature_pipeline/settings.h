// The main job's settings: names, defaults, and what they mean to its parts.
#pragma once

#include <string>
#include <vector>

#include "app/config.h"
#include "app/environment.h"
#include "connectors/formats/json_decode.h"
#include "engine/runtime/source_stage.h"
#include "jobs/feature_pipeline/pipeline.h"

namespace tidemill::features {

// Besides those every job has.
std::vector<ConfigKey> keys();

FeatureWindows windows_of(const Config& config);
TrailingOptions trailing_options_of(const Config& config);
SourceSettings source_settings_of(const Config& config);
// Which JSON field is which member.
JsonFields<UserEvent> input_fields_of(const Config& config);

}  // namespace tidemill::features
