// --transactions: the job's open transactions, as JSON, and ending one that an instance has left.
#pragma once

#include <string>

#include "app/environment.h"

namespace tidemill {

// `what`: "status", "abort" or "force-abort". Prints what is held afterwards and returns 0. Throws
// Error(kConfig) if it is none of these or the job has no transactions, Error(kRefused) for "abort"
// while a process of the job runs on this machine.
int transaction_tool(const Environment& env, const std::string& what);

}  // namespace tidemill
