// What --validate looks at besides the checks of every start: what a start would find by doing it.
#pragma once

#include <vector>

#include "app/environment.h"

namespace tidemill {

// The folders the job writes can be made and written, and a restore as asked for is possible. What
// the commit record in Kafka says is not asked: a sure answer needs the fence. Changes nothing.
void validate_start(const Environment& env, const RestoreChoice& choice,
                    std::vector<Finding>& findings);

}  // namespace tidemill
