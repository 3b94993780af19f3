#include "bench/nexmark/file_log.h"

#include <fstream>
#include <string>
#include <vector>

#include "bench/nexmark/event_lines.h"
#include "connectors/file/file_source.h"
#include "engine/base/error.h"
#include "engine/base/files.h"
#include "jobs/feature_pipeline/positions.h"

namespace tidemill::nexmark {
namespace fs = std::filesystem;

void make_file_log(const fs::path& dir, const GeneratorSettings& settings, std::int64_t events) {
  if (fs::exists(dir)) return;
  const fs::path unfinished = dir.string() + ".tmp";
  fs::remove_all(unfinished);
  std::vector<fs::path> paths;
  std::vector<std::ofstream> files;
  for (int p = 0; p < kLogPartitions; ++p) {
    const fs::path folder = unfinished / ("partition-" + std::to_string(p));
    fs::create_directories(folder);
    paths.push_back(folder / "00000000000000000000.jsonl");
    files.emplace_back(paths.back(), std::ios::binary | std::ios::trunc);
  }
  for_each_keyed_line(settings, events, [&](const KeyedLine& event) {
    files[static_cast<std::size_t>(event.key % kLogPartitions)] << event.line << '\n';
  });
  for (std::size_t p = 0; p < files.size(); ++p) {
    files[p].close();
    if (!files[p])
      throw Error(ErrorCode::kIo, "the events could not be written: " + paths[p].string());
    sync_file(paths[p]);
  }
  fs::rename(unfinished, dir);
}

SourceSpec<RawRecord> file_lines(Environment& env, const fs::path& dir) {
  env.claim_folder(dir, Environment::Use::kRead);
  FileSourceSettings settings;
  settings.dir = dir;
  const std::string topic = file_topic(dir);
  settings.start =
      features::file_position(features::start_position(env.config()), topic, "--from-offsets");
  settings.stop =
      features::file_position(features::stop_position(env.config()), topic, "--until-offsets");
  settings.event_time_of = time_of_line;
  return {"file source", file_source(settings), file_source_parts()};
}

}  // namespace tidemill::nexmark
