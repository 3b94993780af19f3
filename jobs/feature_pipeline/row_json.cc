#include "jobs/feature_pipeline/row_json.h"

#include <cstring>
#include <string_view>
#include <utility>

#include "connectors/formats/json_writer.h"

namespace tidemill::features {
namespace {

constexpr std::string_view kUser = "{\"user_id\":";
constexpr std::string_view kLastAction = ",\"last_action\":";
constexpr std::string_view kEventTime = ",\"event_time\":";
constexpr std::string_view kComputedAt = ",\"computed_at\":";

char* put(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

}  // namespace

RowJson::RowJson(const FeatureWindows& windows, std::string key_prefix, bool deletes_empty)
    : largest_(windows.largest), key_prefix_(std::move(key_prefix)), deletes_empty_(deletes_empty) {
  room_ = kUser.size() + kLastAction.size() + kEventTime.size() + kComputedAt.size() +
          2 * kMaxJsonTime + 1;
  for (const std::string& name : windows.names) {
    const Names& names = names_.emplace_back(Names{Label(",\"event_count_" + name + "\":"),
                                                   Label(",\"unique_actions_" + name + "\":"),
                                                   Label(",\"avg_value_" + name + "\":")});
    room_ += names.count.room() + names.unique.room() + names.average.room() + 3 * kMaxJsonNumber;
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
  const WindowFeatures& all = row.results[largest_];
  const std::string_view last_action =
      all.last_action ? std::string_view(*all.last_action) : std::string_view();
  const std::size_t begin = bytes.size();
  bytes.resize(begin + room_ + max_json_size(row.key) + max_json_size(last_action));
  char* at = bytes.data() + begin;
  at = write_json(put(at, kUser), std::string_view(row.key));
  for (std::size_t w = 0; w < names_.size(); ++w) {
    const WindowFeatures& features = row.results[w];
    at = write_json(names_[w].count.put(at), features.event_count);
    at = write_json(names_[w].unique.put(at), features.unique_actions);
    at = names_[w].average.put(at);
    at = features.avg_value ? write_json(at, *features.avg_value) : put(at, "null");
  }
  at = put(at, kLastAction);
  if (all.last_action) {
    at = write_json(put(write_json(at, last_action), kEventTime), all.last_time);
  } else {
    at = put(put(put(at, "null"), kEventTime), "null");
  }
  at = write_json(put(at, kComputedAt), row.at);
  *at++ = '}';
  bytes.resize(static_cast<std::size_t>(at - bytes.data()));
  out.end_row();
}

}  // namespace tidemill::features
