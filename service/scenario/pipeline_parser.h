// The pipeline line of a scenario: kinds, parameters, aggregates.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "service/scenario/mistake.h"
#include "service/scenario/scenario.h"

namespace tidemill::scenario {

// `words` begin with "pipeline". Throws Mistake.
std::vector<StageSpec> parse_pipeline(std::span<const Word> words);

// The names of the inputs: p0, p1, … or left and right.
std::vector<std::string> input_names(const StageSpec& first);

// Words, as opposed to numbers, cannot be given to the aggregate.
bool takes_numbers_only(Aggregate aggregate);

bool has_two_inputs(const std::string& kind);

}  // namespace tidemill::scenario
