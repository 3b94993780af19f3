// The main job: user events -> trailing-window features per user -> Redis, a Kafka topic, files
// (docs/feature_pipeline.md).
#include <filesystem>
#include <optional>
#include <string>

#include "app/run.h"
#include "jobs/feature_pipeline/endpoints.h"
#include "jobs/feature_pipeline/pipeline.h"
#include "jobs/feature_pipeline/settings.h"

namespace {

using namespace tidemill;

void build(Environment& env) {
  const features::FeatureWindows windows = features::windows_of(env.config());
  const TrailingOptions options = features::trailing_options_of(env.config());
  auto [events, late, bad] = features::add_events(env);
  const Stream<features::FeatureRow> rows = features::build(events, windows, options);
  features::add_sinks(env, rows, late, bad, windows);
}

}  // namespace

int main(int argc, char** argv) {
  return run_job(argc, argv,
                 {.name = "features",
                  .description = "Trailing-window features per user from user events: Kafka or "
                                 "files in; Kafka, Redis or files out, exactly once.",
                  .keys = features::keys(),
                  .build = build});
}
