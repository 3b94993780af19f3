#include "jobs/feature_pipeline/positions.h"

#include <string_view>

#include "connectors/formats/iso_time.h"
#include "engine/base/error.h"

namespace tidemill::features {
namespace {

using Kind = kafka::PositionSpec::Kind;

EventTime parse_time(const std::string& flag, const std::string& text) {
  if (const auto time = parse_given_time(text)) return *time;
  throw Error(ErrorCode::kConfig,
              flag + " is no time such as 2026-01-01T00:00:00Z or epoch milliseconds: " + text);
}

kafka::PositionSpec position(const Config& config, const std::string& which,
                             kafka::PositionSpec (*parse)(std::string_view)) {
  const std::string offsets = config.text(which + ".offsets");
  const std::string time = config.text(which + ".time");
  if (!offsets.empty() && !time.empty()) {
    throw Error(ErrorCode::kConfig, Config::flag_of(which + ".offsets") + " and " +
                                        Config::flag_of(which + ".time") + " exclude each other");
  }
  if (!time.empty()) {
    kafka::PositionSpec spec;
    spec.kind = Kind::kTime;
    spec.time = parse_time(Config::flag_of(which + ".time"), time);
    return spec;
  }
  return offsets.empty() ? kafka::PositionSpec{} : parse(offsets);
}

}  // namespace

kafka::PositionSpec start_position(const Config& config) {
  return position(config, "from", kafka::parse_start);
}

kafka::PositionSpec stop_position(const Config& config) {
  return position(config, "until", kafka::parse_stop);
}

FilePosition file_position(const kafka::PositionSpec& position, const std::string& topic,
                           const std::string& flag) {
  FilePosition file;
  switch (position.kind) {
    case Kind::kNone: break;
    case Kind::kEarliest: file.kind = FilePosition::Kind::kEarliest; break;
    case Kind::kLatest: file.kind = FilePosition::Kind::kLatest; break;
    case Kind::kCommitted:
      throw Error(ErrorCode::kConfig, flag +
                                          " committed: a file log has no group offsets; use a "
                                          "checkpoint (--restore) or " +
                                          topic + ":P=N");
    case Kind::kTime:
      file.kind = FilePosition::Kind::kTime;
      file.time = position.time;
      break;
    case Kind::kOffsets:
      file.kind = FilePosition::Kind::kOffsets;
      for (const auto& [partition, offset] : position.offsets) {
        if (partition.first != topic) {
          throw Error(ErrorCode::kConfig, flag + " names a topic that is not read: " +
                                              partition.first + "; the source is " + topic);
        }
        file.offsets[partition.second] = offset;
      }
      break;
  }
  return file;
}

}  // namespace tidemill::features
