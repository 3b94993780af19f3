// The main job's file logs.
#pragma once

#include <filesystem>
#include <string>

#include "app/environment.h"
#include "connectors/file/file_sink.h"
#include "operators/source.h"

namespace tidemill::features {

SourceSpec<RawRecord> file_events(Environment& env);
// As many partitions as the source has, unless set.
// `bucket`: FileSinkSettings::bucket.
SinkSpec file_sink_at(Environment& env, const std::filesystem::path& dir,
                      const std::string& bucket = {});
// Where late (`late`) or bad (`bad_data`) records go: `KEY.dir`, else `KEY.topic` beside the rows.
std::filesystem::path side_directory(const Config& config, const std::string& key);

}  // namespace tidemill::features
