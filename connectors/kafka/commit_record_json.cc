#include "connectors/kafka/commit_record_json.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <simdjson.h>

#include "connectors/formats/json_writer.h"
#include "engine/base/error.h"

namespace tidemill::kafka {
namespace {

constexpr std::int64_t kFormat = 1;
constexpr std::string_view kDigits = "0123456789abcdef";

std::string hex(std::uint64_t value) {
  std::string text(16, '0');
  for (std::size_t i = 16; i-- > 0; value >>= 4) text[i] = kDigits[value & 15];
  return text;
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

void write_time(JsonWriter& json, std::string_view name, EventTime time) {
  // -infinity is the everyday value of a split that has read nothing.
  if (time == EventTime::min()) {
    json.field(name, nullptr);
  } else {
    json.field(name, time.ms);
  }
}

void write_split(JsonWriter& json, const SplitPosition& split) {
  json.begin_object().field("split", split.split).field("offset", split.offset);
  write_time(json, "watermark_ms", split.watermark);
  write_time(json, "max_time_ms", split.max_time);
  json.field("finished", split.is_finished);
  json.key("tail").begin_object().field("offset", split.tail_offset);
  json.field("timestamp_ms", split.tail_timestamp).field("hash", hex(split.tail_hash)).end_object();
  json.field("generator", hex(split.generator)).end_object();
}

[[noreturn]] void bad(const std::string& what) {
  throw Error(ErrorCode::kCorrupt, "the commit record is malformed: " + what);
}

using Element = simdjson::dom::element;

Element member(const Element& object, const char* name) {
  Element found;
  if (object[name].get(found) != simdjson::SUCCESS) bad(std::string(name) + " is missing");
  return found;
}

std::string text(const Element& object, const char* name) {
  std::string_view value;
  if (member(object, name).get(value) != simdjson::SUCCESS) bad(std::string(name) + " is no text");
  return std::string(value);
}

std::int64_t number(const Element& object, const char* name) {
  std::int64_t value = 0;
  if (member(object, name).get(value) != simdjson::SUCCESS) {
    bad(std::string(name) + " is no whole number");
  }
  return value;
}

std::int64_t count(const Element& object, const char* name) {
  const std::int64_t value = number(object, name);
  if (value < 0) bad(std::string(name) + " is negative");
  return value;
}

EventTime time(const Element& object, const char* name) {
  if (member(object, name).is_null()) return EventTime::min();
  return {number(object, name)};
}

std::uint64_t hash(const Element& object, const char* name) {
  const std::string digits = text(object, name);
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() != 16 || error != std::errc{} || end != digits.data() + digits.size()) {
    bad(std::string(name) + " is no hash of 16 digits");
  }
  return value;
}

Bytes bytes(const Element& object, const char* name) {
  const std::string digits = text(object, name);
  if (digits.size() % 2 != 0) bad(std::string(name) + " has half a byte");
  Bytes value;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    const std::size_t high = kDigits.find(digits[i]);
    const std::size_t low = kDigits.find(digits[i + 1]);
    if (high == kDigits.npos || low == kDigits.npos) bad(std::string(name) + " is not hexadecimal");
    value += static_cast<char>(high << 4 | low);
  }
  return value;
}

simdjson::dom::array array(const Element& object, const char* name) {
  simdjson::dom::array value;
  if (member(object, name).get(value) != simdjson::SUCCESS) {
    bad(std::string(name) + " is no array");
  }
  return value;
}

SplitPosition split_of(const Element& json) {
  SplitPosition split;
  split.split = text(json, "split");
  split.offset = count(json, "offset");
  split.watermark = time(json, "watermark_ms");
  split.max_time = time(json, "max_time_ms");
  if (member(json, "finished").get(split.is_finished) != simdjson::SUCCESS) {
    bad("finished is neither true nor false");
  }
  const Element tail = member(json, "tail");
  split.tail_offset = number(tail, "offset");
  split.tail_timestamp = number(tail, "timestamp_ms");
  split.tail_hash = hash(tail, "hash");
  split.generator = bytes(json, "generator");
  return split;
}

}  // namespace

std::string to_json(const CommitRecord& record) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("format", kFormat).field("job", record.job);
  json.field("checkpoint", record.checkpoint).field("seq", record.seq);
  json.field("lineage", record.lineage).field("manifest_hash", hex(record.manifest_hash));
  json.key("sources").begin_array();
  for (const SourcePositions& source : record.positions) {
    json.begin_object().field("source", source.source).key("splits").begin_array();
    for (const SplitPosition& split : source.splits) write_split(json, split);
    json.end_array().end_object();
  }
  json.end_array().end_object();
  return out;
}

CommitRecord parse_commit_record(std::string_view json) {
  simdjson::dom::parser parser;
  Element root;
  if (const auto error = parser.parse(json.data(), json.size()).get(root); error) {
    bad(std::string("no JSON: ") + simdjson::error_message(error));
  }
  if (number(root, "format") != kFormat) {
    bad("format " + std::to_string(number(root, "format")) +
        " is not known: a newer version wrote it");
  }
  CommitRecord record;
  record.job = text(root, "job");
  record.checkpoint = text(root, "checkpoint");
  record.seq = static_cast<CheckpointId>(count(root, "seq"));
  record.lineage = text(root, "lineage");
  record.manifest_hash = hash(root, "manifest_hash");
  for (const Element source : array(root, "sources")) {
    SourcePositions positions{text(source, "source"), {}};
    for (const Element split : array(source, "splits")) positions.splits.push_back(split_of(split));
    record.positions.push_back(std::move(positions));
  }
  return record;
}

}  // namespace tidemill::kafka
