#include <string>

#include "app/metrics_text.h"
#include "connectors/formats/json_writer.h"

namespace tidemill {

void write_late_records(JsonWriter& json, const MetricRegistry& metrics) {
  json.begin_array();
  metrics.visit_late([&](const Labels& labels, const LateSample& sample) {
    for (const LateRecord& record : sample.records()) {
      json.begin_object();
      for (const auto& [name, value] : labels) json.field(name, value);
      json.field("time", record.time).field("watermark", record.watermark);
      json.field("behind_ms", (record.watermark - record.time).count());
      json.field("key", record.key);
      if (!record.origin.empty()) json.field("origin", record.origin);
      json.end_object();
    }
  });
  json.end_array();
}

std::string late_records_json(const MetricRegistry& metrics) {
  std::string text;
  JsonWriter json(text);
  write_late_records(json, metrics);
  text += '\n';
  return text;
}

}  // namespace tidemill
