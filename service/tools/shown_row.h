// Rows and keys of a job as members of an answer.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace tidemill::tools {

// As a JSON text; of more than `most` bytes that many and "…".
[[nodiscard]] std::string shown_text(const std::string& text, std::size_t most = std::string::npos);
// As it is if it is JSON of at most `most` bytes: parsed and written again numbers could change.
// Else as a text; null of nothing.
[[nodiscard]] std::string shown_row(const std::optional<std::string>& row,
                                    std::size_t most = std::string::npos);

}  // namespace tidemill::tools
