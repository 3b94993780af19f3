// The output row, byte for byte (docs/feature_pipeline.md): JSON, fields in this order: user_id,
// then per window event_count_W, unique_actions_W, avg_value_W, then last_action, event_time,
// computed_at.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/operator/sink.h"
#include "jobs/feature_pipeline/pipeline.h"

namespace tidemill::features {

// Encodes rows for any sink: message key `user_id`, time = computed_at. Copyable; one thread.
class RowJson {
 public:
  // `key_prefix` goes before the user in the message key (Redis). A user who has become empty is
  // deleted if `deletes_empty`.
  RowJson(const FeatureWindows& windows, std::string key_prefix, bool deletes_empty);
  void operator()(const FeatureRow& row, EventTime time, OutputBatch& out) const;

 private:
  struct Names {
    std::string count, unique, average;  // with quotes, comma and colon
  };
  std::vector<Names> names_;
  std::size_t room_ = 0;  // for a row but its texts
  std::size_t largest_;
  std::string key_prefix_;
  bool deletes_empty_;
};

}  // namespace tidemill::features
