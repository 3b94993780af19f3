// Reads what a job has put out, by its settings: a Kafka topic up to its committed end, the files
// of a folder, or the keys of a prefix in Redis.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace tidemill::tools {

using Settings = std::map<std::string, std::string>;  // "sinks.kafka.topic" -> …
using TakeRow = std::function<void(std::string_view key, std::string_view row)>;

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

// `tidemill compare-outputs FILE` of the server: FILE has {live, replay: {settings}, name, output,
// show}; prints OutputDiff's JSON. Exit code as of any verb.
int compare_outputs_command(const std::string& file);

}  // namespace tidemill::tools
