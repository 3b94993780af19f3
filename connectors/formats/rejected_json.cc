#include "connectors/formats/rejected_json.h"

#include <openssl/evp.h>
#include <simdjson.h>

#include "connectors/formats/json_writer.h"

namespace tidemill {
namespace {

std::string base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

}  // namespace

void RejectedToTopic::operator()(const RejectedRecord& r, EventTime, OutputBatch& out) const {
  out.begin_row();
  if (r.has_key) {
    out.buffer().append(r.key);
    out.end_key();
  }
  out.buffer().append(r.value);
  if (!r.has_value) out.set_delete();  // a tombstone stays one
  out.set_time(r.timestamp);
  out.set_headers({{"tidemill.reason", r.reason},
                   {"tidemill.detail", r.detail},
                   {"tidemill.stage", r.stage},
                   {"tidemill.source", r.source},
                   {"tidemill.partition", std::to_string(r.partition)},
                   {"tidemill.offset", std::to_string(r.offset)},
                   {"tidemill.job", job_},
                   {"tidemill.checkpoint", std::to_string(out.epoch())}});
  out.end_row();
}

void RejectedToFile::operator()(const RejectedRecord& r, EventTime, OutputBatch& out) const {
  out.begin_row();
  // Rows of one source partition stay together; the key is the origin, so that any number of
  // partitions will do.
  out.buffer().append(r.source).append(":").append(std::to_string(r.partition));
  out.end_key();
  out.set_time(r.timestamp);
  const bool is_text = simdjson::validate_utf8(r.value) && simdjson::validate_utf8(r.key);
  JsonWriter json(out.buffer());
  json.begin_object()
      .field("source", r.source)
      .field("partition", static_cast<std::int64_t>(r.partition))
      .field("offset", r.offset)
      .field("reason", r.reason)
      .field("detail", r.detail)
      .field("stage", r.stage)
      .field("job", job_)
      .field("checkpoint", out.epoch());
  json.key("timestamp");
  if (r.timestamp.is_finite()) {
    json.value(r.timestamp);
  } else {
    json.value(nullptr);
  }
  json.key("key");
  if (r.has_key) {
    json.value(is_text ? r.key : base64(r.key));
  } else {
    json.value(nullptr);
  }
  json.field("value", is_text ? r.value : base64(r.value));
  if (!is_text) json.field("encoding", "base64");
  json.end_object();
  out.end_row();
}

}  // namespace tidemill
