// A record as a connector read it, before anybody decoded it, and a record that was turned away,
// with its origin.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/time.h"

namespace tidemill {

using RecordHeaders = std::vector<std::pair<std::string, std::string>>;

// Views into memory that the SourceBatch it came in keeps alive: valid until that batch is cleared.
struct RawRecord {
  std::string_view value;
  std::string_view key;
  bool has_key = false;
  bool has_value = true;
  const RecordHeaders* headers = nullptr;  // null: none
};

// A late or bad record: original bytes unchanged, where it came from and why it was turned away
// (docs/semantics.md 6).
struct RejectedRecord {
  std::string value;
  std::string key;
  bool has_key = false;
  bool has_value = true;
  std::string source;  // topic, or directory of a file log
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  EventTime timestamp{};  // the record's own (Kafka) timestamp; of the file log its event time
                          // where known
  std::string stage;      // decode, source, operator name, encode
  std::string reason;     // one word: late, missing_field, mistyped, malformed, future …
  std::string detail;     // for people
};

}  // namespace tidemill
