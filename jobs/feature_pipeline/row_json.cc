#include "jobs/feature_pipeline/row_json.h"

#include <utility>

#include "connectors/formats/json_writer.h"

namespace tidemill::features {

RowJson::RowJson(const FeatureWindows& windows, std::string key_prefix, bool deletes_empty)
    : largest_(windows.largest), key_prefix_(std::move(key_prefix)), deletes_empty_(deletes_empty) {
  for (const std::string& name : windows.names) {
    names_.push_back({",\"event_count_" + name + "\":", ",\"unique_actions_" + name + "\":",
                      ",\"avg_value_" + name + "\":"});
  }
}

void RowJson::operator()(const FeatureRow& row, EventTime, OutputBatch& out) const {
  out.begin_row();
  std::string& bytes = out.buffer();
  bytes += key_prefix_;
  bytes += row.key;
  out.end_key();
  out.set_time(row.at);
  if (row.is_empty && deletes_empty_) {
    out.set_delete();
    out.end_row();
    return;
  }
  bytes += "{\"user_id\":";
  append_json(bytes, std::string_view(row.key));
  for (std::size_t w = 0; w < names_.size(); ++w) {
    const WindowFeatures& features = row.results[w];
    bytes += names_[w].count;
    append_json(bytes, features.event_count);
    bytes += names_[w].unique;
    append_json(bytes, features.unique_actions);
    bytes += names_[w].average;
    if (features.avg_value) {
      append_json(bytes, *features.avg_value);
    } else {
      bytes += "null";
    }
  }
  const WindowFeatures& all = row.results[largest_];
  bytes += ",\"last_action\":";
  if (all.last_action) {
    append_json(bytes, std::string_view(*all.last_action));
    bytes += ",\"event_time\":";
    append_json(bytes, all.last_time);
  } else {
    bytes += "null,\"event_time\":null";
  }
  bytes += ",\"computed_at\":";
  append_json(bytes, row.at);
  bytes += '}';
  out.end_row();
}

}  // namespace tidemill::features
