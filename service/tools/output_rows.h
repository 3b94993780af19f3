// Reads what a job has put out, by its settings: a Kafka topic up to its committed end, the files
// of a folder, or the keys of a prefix in Redis.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

#include "connectors/redis/settings.h"

namespace tidemill::tools {

using Settings = std::map<std::string, std::string>;  // "sinks.kafka.topic" -> …

// Empty: it is not set.
[[nodiscard]] std::string text_of(const Settings& settings, const std::string& key);
// Of a question that the server asks in a file.
[[nodiscard]] Settings settings_in(const boost::json::value& value);
[[nodiscard]] boost::json::object question_in(const std::string& file);

struct OutputRow {
  std::string_view key;
  std::optional<std::string_view> row;  // nothing: a tombstone, the key has no row any more
  std::int64_t at_ms = 0;  // the record's timestamp, or when its file was written; Redis: 0
};
using TakeRow = std::function<void(const OutputRow&)>;

enum class Output { kKafka, kFile, kRedis };
[[nodiscard]] const char* name_of(Output output);
[[nodiscard]] std::optional<Output> output_named(std::string_view name);
// The first of Kafka, files, Redis that these settings have. Throws Error(kConfig): none.
[[nodiscard]] Output output_of(const Settings& settings);

// What the rows of a replay (empty: of the job) are called there, for people.
[[nodiscard]] std::string place_of(const Settings& settings, Output output,
                                   const std::string& replay);

// All rows that are there now, those of a key in their order. `replay`: the NAME of a replay;
// empty: of the job. A row of a file has the key that its member named as the setting `key`, else
// its first member, says. Throws Error(kRefused): there is no such output; Error(kIo),
// Error(kConfig).
void read_rows(const Settings& settings, Output output, const std::string& replay,
               const TakeRow& take);

// The rows of a topic or of files as they are committed, by and by.
class CommittedRows {
 public:
  // `output`: kKafka or kFile.
  CommittedRows(Settings settings, Output output, std::string replay);
  // All rows that are there now and that no earlier call has brought, as read_rows does.
  void read(const TakeRow& take);

 private:
  void read_topic(const std::string& topic, const TakeRow& take);
  void read_files(const std::string& folder, const TakeRow& take);

  const Settings settings_;
  const Output output_;
  const std::string replay_;
  std::map<std::int32_t, std::int64_t> next_;  // of each partition
  std::set<std::string> files_;                // that have been read
};

// The sink's Redis: its server, and what stands before the keys of rows.
[[nodiscard]] RedisServerSettings redis_server_of(const Settings& settings);
[[nodiscard]] std::string redis_prefix_of(const Settings& settings, const std::string& replay);

// `tidemill compare-outputs FILE` of the server: FILE has {live, replay: {settings}, name, output,
// show}; prints OutputDiff's JSON. Exit code as of any verb.
int compare_outputs_command(const std::string& file);

}  // namespace tidemill::tools
