// The scenario file format: text in, a Scenario out.
#pragma once

#include <string_view>

#include "service/scenario/mistake.h"
#include "service/scenario/scenario.h"

namespace tidemill::scenario {

// Throws Mistake.
Scenario parse(std::string_view text);

}  // namespace tidemill::scenario
