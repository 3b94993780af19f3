// Reads a file log: DIR/partition-P/*.jsonl, one record a line, offset = line number since the
// partition's first file (README.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/time.h"
#include "engine/data/raw_record.h"
#include "engine/operator/source.h"

namespace tidemill {

// Where to begin at a first start, and where to end. Resolved once to line numbers, which are part
// of the first checkpoint.
struct FilePosition {
  enum class Kind { kNone, kEarliest, kLatest, kTime, kOffsets };
  Kind kind = Kind::kNone;
  EventTime time{};                                // kTime: the first record at or after it
  std::map<std::int32_t, std::int64_t> offsets{};  // kOffsets: by partition
};

struct FileSourceSettings {
  std::filesystem::path dir;
  bool follow = false;  // wait for growth; without, the end of the files is the end of the input
  FilePosition start{.kind = FilePosition::Kind::kEarliest};
  FilePosition stop{};
  // kTime only: a line's event time, none if it has none.
  std::function<std::optional<EventTime>(std::string_view line)> event_time_of;
  std::size_t max_line_bytes = std::size_t{256} << 20;
};

// A source's name in positions and rejected records: the directory's last part.
std::string file_topic(const std::filesystem::path& dir);
// The partitions that are there, in number order. Throws Error(kConfig) if the directory cannot be
// read.
std::vector<std::int32_t> list_file_partitions(const std::filesystem::path& dir);

// Throws Error(kConfig) for settings that cannot work, Error(kRefused) when lines it has to go on
// behind are gone.
ReaderFactory<RawRecord> file_source(FileSourceSettings settings);
// For SourceSpec::parts.
std::vector<std::string> file_source_parts();

}  // namespace tidemill
