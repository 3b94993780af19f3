// Lists of texts as the store keeps them: JSON.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidemill::server {

[[nodiscard]] std::string print_texts(const std::vector<std::string>& texts);
// Throws Error(kCorrupt).
[[nodiscard]] std::vector<std::string> parse_texts(std::string_view text);

}  // namespace tidemill::server
