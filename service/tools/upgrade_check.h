// Asks a job binary whether it can go on from a checkpoint.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

namespace tidemill::tools {

struct UpgradeAsked {
  std::filesystem::path binary;
  std::filesystem::path checkpoint;  // its folder
  std::filesystem::path config;      // empty: none
  std::chrono::milliseconds time{60'000};
};

// What the binary prints with --check-upgrade (app/upgrade_check.h): a JSON object on one line.
// Starts it in this process's folder, and kills it when it takes longer than it may. Throws
// Error(kConfig) with the binary's own words if it says nothing of the kind.
std::string ask_upgrade(const UpgradeAsked& asked);

}  // namespace tidemill::tools
