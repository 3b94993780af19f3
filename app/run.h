// A job binary: the flags every job has, around a function that builds the graph
// (docs/operations.md).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/environment.h"

namespace tidemill {

struct JobDefinition {
  std::string name;         // default of the setting `job`
  std::string description;  // for --help
  // Besides those every job has; one of the same name gives the job another default of it.
  std::vector<ConfigKey> keys = {};
  std::function<void(Environment&)> build;
};

// Runs the program to its end and returns its exit code: 0 finished or stopped as asked, 1 failed,
// 2 wrong usage or configuration, 3 refused for safety.
int run_job(int argc, char** argv, const JobDefinition& definition);

// The settings every job has.
std::vector<ConfigKey> common_keys();

}  // namespace tidemill
