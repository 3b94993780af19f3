// Completion of verbs and flags for the shells.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tidemill::cli {

// A script to be sourced ("bash") or put into fpath as _tidemill ("zsh"); nothing for another
// shell. `others`: verb and line of those that are not of this folder's table.
[[nodiscard]] std::optional<std::string> completion(
    std::string_view shell, std::span<const std::pair<std::string, std::string>> others);

}  // namespace tidemill::cli
