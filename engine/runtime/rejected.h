// What a source turns away: where it was read, and as what it is written out.
#pragma once

#include <string>

#include "engine/data/raw_record.h"
#include "engine/operator/source.h"
#include "engine/runtime/source_settings.h"

namespace tidemill {

// "TOPIC/P offset N"
inline std::string origin_text(const SplitStatus& status, const Origin& origin) {
  return status.source + "/" + std::to_string(origin.partition) + " offset " +
         std::to_string(origin.offset);
}

inline RejectedRecord rejected(const RawRecord& raw, const SplitStatus& status,
                               const Origin& origin, EventTime timestamp, const char* stage,
                               const Rejection& why) {
  RejectedRecord record;
  record.value = raw.value;
  record.key = raw.key;
  record.has_key = raw.has_key;
  record.has_value = raw.has_value;
  record.source = status.source;
  record.partition = origin.partition;
  record.offset = origin.offset;
  record.timestamp = timestamp;
  record.stage = stage;
  record.reason = why.reason;
  record.detail = why.detail;
  return record;
}

}  // namespace tidemill
