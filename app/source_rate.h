// --rate: the limit of a job's sources.
#pragma once

#include "app/config.h"
#include "engine/runtime/source_settings.h"

namespace tidemill {

// What all subtasks of the sources may read together; nothing is set without the flag. Throws
// Error(kConfig) for a text that is neither bytes nor records a second.
void limit_rate(const Config& config, SourceSettings& settings);

}  // namespace tidemill
