// The operators of a job, built as a restore would build them, to learn what they would say:
// nothing runs, nothing is connected, and sources and sinks, which reach outside, are left out.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/runtime/job.h"

namespace tidemill {

struct RehearsedOperators {
  UnusedParts unused_parts;
  // What an operator threw, in the order in which a restore would meet it; of each the first.
  std::vector<std::pair<std::string, Error>> refused;
  // By operator: what it asks for of what a checkpoint holds without keys.
  std::map<std::string, std::set<std::string, std::less<>>> parts;
};

// `resources`: what operators need of the state store. `restored`: null at a first start. A part
// that a source or sink asks for, or may ask for (Node::parts), counts as used. One thread.
RehearsedOperators rehearse_operators(const Plan& plan, const RestoredOperators* restored,
                                      Resources& resources, const Clock& clock);

}  // namespace tidemill
