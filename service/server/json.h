// The few things of JSON that the store and the processes keep: lists of texts, flat objects.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidemill::server::json {

[[nodiscard]] std::string print_texts(const std::vector<std::string>& texts);
// Throws Error(kCorrupt).
[[nodiscard]] std::vector<std::string> parse_texts(std::string_view text);

}  // namespace tidemill::server::json
