// What is different between two types of a state, in words.
#pragma once

#include <string>
#include <vector>

#include "state/stored_type.h"

namespace tidemill {

// "field added: country (text), \"\" in what is stored". Requires: TypeChange takes the one for the
// other. `wanted` is of the program: it has the fallbacks.
std::vector<std::string> type_differences(const StoredType& stored, const StoredType& wanted);

}  // namespace tidemill
