// The commit record as it stands in the control topic: JSON that a person can read with any
// consumer (docs/exactly-once.md 6.4). Numbers of 64 bits that are no counts are hexadecimal text.
#pragma once

#include <string>
#include <string_view>

#include "engine/checkpoint/commit_protocol.h"

namespace tidemill::kafka {

std::string to_json(const CommitRecord& record);

// Reads back exactly what was written; members it does not know are ignored. Throws
// Error(kCorrupt) that says what is wrong with the text, never where it came from.
CommitRecord parse_commit_record(std::string_view json);

}  // namespace tidemill::kafka
